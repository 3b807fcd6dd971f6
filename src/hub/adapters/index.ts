import type { ChannelAdapter } from "../../model/index.ts"
import { consultingAdapter } from "./consulting.ts"
import { conversationAdapter } from "./conversation.ts"

export type { ConsultingState } from "./consulting.ts"
export type { ConversationState } from "./conversation.ts"
export { consultingAdapter, conversationAdapter }

/** What a hub knows before anybody registers another. */
export const DEFAULT_ADAPTERS: readonly ChannelAdapter[] = [consultingAdapter, conversationAdapter]
