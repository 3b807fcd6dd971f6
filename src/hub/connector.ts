import type { HansardError } from "../core/errors.ts"
import type {
  AuthClaim,
  ChannelMetadata,
  CreateChannelRequest,
  EnvelopeRequest,
  HubApi,
  JsonObject,
  Observation,
  Passport,
  Receipt,
  Registration,
  Resume,
  ResumeRequest,
  Rule,
  RuleRequest,
  TaskMetadata,
  TaskRequest,
  TaskUpdate,
} from "../model/index.ts"
import type { OperationOptions } from "./context.ts"
import type { DeliveryDesk, Outlet } from "./delivery.ts"

/** {@link HubApi} with the word on who asks, for every change. */
export interface AttributedHubApi extends HubApi {
  unregister(agentId: string, options?: OperationOptions): Promise<void>
  setResume(agentId: string, resume: ResumeRequest, options?: OperationOptions): Promise<Resume>
  setSkill(agentId: string, skillMd: string | null, options?: OperationOptions): Promise<void>
  setRule(agentId: string, rule: RuleRequest, options?: OperationOptions): Promise<Rule>
  recordObservation(observation: Observation, options?: OperationOptions): Promise<void>
  createChannel(request: CreateChannelRequest, options?: OperationOptions): Promise<ChannelMetadata>
  closeChannel(channelId: string, reason?: string, options?: OperationOptions): Promise<ChannelMetadata>
  postEnvelope(envelope: EnvelopeRequest, options?: OperationOptions): Promise<string>
  observeTask(task: TaskRequest, options?: OperationOptions): Promise<TaskMetadata>
  updateTask(taskId: string, update: TaskUpdate, options?: OperationOptions): Promise<TaskMetadata>
  fireTaskEvent(taskId: string, kind: string, payload: JsonObject, options?: OperationOptions): Promise<void>
}

/** What a connection needs of its hub. */
export interface HubConnector {
  readonly hub: AttributedHubApi
  readonly desk: DeliveryDesk
  attach(
    outlet: Outlet,
    name: string,
    auth: AuthClaim | undefined,
    since: string | null | undefined,
  ): Promise<Passport>
  register(outlet: Outlet, registration: Registration): Promise<Passport>
  receipt(outlet: Outlet, receipt: Receipt): Promise<void>
  denied(op: string, agentId: string | null, error: HansardError): Promise<void>
  /** Empty for an unknown channel. */
  participantsOf(channelId: string): readonly string[]
  ownerOf(taskId: string): string | undefined
}
