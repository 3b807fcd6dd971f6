import type { HansardError } from "../core/errors.ts"
import type {
  AuthChallenge,
  AuthClaim,
  CallOptions,
  ChannelMetadata,
  CreateChannelRequest,
  EnvelopeRequest,
  HubApi,
  JsonObject,
  ListChannelsFilter,
  ListTasksFilter,
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
import type { Administrator } from "./auth/index.ts"
import type { OperationOptions } from "./context.ts"
import type { DeliveryDesk } from "./delivery.ts"
import type { Visitor } from "./entrance.ts"

export interface ListOptions<T> extends CallOptions {
  /** Which of them may be in the list. Default: all. */
  readonly shows?: (one: T) => boolean
}

/** {@link HubApi} with the word on who asks, for every change, and on what the asker may see in a list. */
export interface AttributedHubApi extends HubApi {
  unregister(agentId: string, options?: OperationOptions): Promise<void>
  setResume(agentId: string, resume: ResumeRequest, options?: OperationOptions): Promise<Resume>
  setSkill(agentId: string, skillMd: string | null, options?: OperationOptions): Promise<void>
  setRule(agentId: string, rule: RuleRequest, options?: OperationOptions): Promise<Rule>
  recordObservation(observation: Observation, options?: OperationOptions): Promise<void>
  createChannel(request: CreateChannelRequest, options?: OperationOptions): Promise<ChannelMetadata>
  listChannels(
    filter?: ListChannelsFilter,
    options?: ListOptions<ChannelMetadata>,
  ): Promise<readonly ChannelMetadata[]>
  closeChannel(channelId: string, reason?: string, options?: OperationOptions): Promise<ChannelMetadata>
  postEnvelope(envelope: EnvelopeRequest, options?: OperationOptions): Promise<string>
  listTasks(filter?: ListTasksFilter, options?: ListOptions<TaskMetadata>): Promise<readonly TaskMetadata[]>
  observeTask(task: TaskRequest, options?: OperationOptions): Promise<TaskMetadata>
  updateTask(taskId: string, update: TaskUpdate, options?: OperationOptions): Promise<TaskMetadata>
  fireTaskEvent(taskId: string, kind: string, payload: JsonObject, options?: OperationOptions): Promise<void>
  checkpointTask(taskId: string, state: JsonObject, options?: OperationOptions): Promise<void>
}

/** What a connection needs of its hub. */
export interface HubConnector {
  readonly hub: AttributedHubApi
  readonly desk: DeliveryDesk
  challenge(name: string): AuthChallenge
  attach(visitor: Visitor, name: string, auth: AuthClaim | undefined, since: string | null): Promise<Passport>
  register(visitor: Visitor, registration: Registration): Promise<Passport>
  proveAdmin(visitor: Visitor, name: string, token: string): Promise<Administrator>
  receipt(visitor: Visitor, receipt: Receipt): Promise<void>
  denied(op: string, agentId: string | null, error: HansardError): Promise<void>
  isRegistered(agentId: string): boolean
  /** `undefined` for an unknown channel. */
  participantsOf(channelId: string): readonly string[] | undefined
  task(taskId: string): TaskMetadata | undefined
}
