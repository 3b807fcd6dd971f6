import type { ChannelAdapter } from "../../model/index.ts"
import { consultingAdapter } from "./consulting.ts"
import { conversationAdapter } from "./conversation.ts"
import { discussionAdapter } from "./discussion.ts"
import { makeWorkflowAdapter, workflowAdapter } from "./workflow.ts"

export type { ConsultingState } from "./consulting.ts"
export type { ConversationState } from "./conversation.ts"
export type { DiscussionState } from "./discussion.ts"
export type { ConditionKind, GraphKinds, GraphView, NextSpeaker, TargetKind } from "./graph.ts"
export type { WorkflowState } from "./workflow.ts"
export { consultingAdapter, conversationAdapter, discussionAdapter, makeWorkflowAdapter, workflowAdapter }

/** What a hub knows before anybody registers another. */
export const DEFAULT_ADAPTERS: readonly ChannelAdapter[] = [
  consultingAdapter,
  conversationAdapter,
  discussionAdapter,
  workflowAdapter,
]
