export {
  MAX_NAME_BYTES,
  MAX_PATH_BYTES,
  RESERVED_NAME,
  type AppendOptions,
  type ByteRange,
  type KnowledgeStore,
} from "./contract.ts"
export { MemoryStore, type MemoryStoreOptions } from "./memory.ts"
export { FileStore, type Durability, type FileStoreOptions } from "./file.ts"
export type { FileStat, FileSystem, FolderEntry, FolderWatcher, OpenFolder } from "./file-system.ts"
export { normalisePath } from "./paths.ts"
export { readText } from "./text.ts"
