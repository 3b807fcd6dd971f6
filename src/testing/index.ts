export { testStore, type StoreUnderTest } from "./store.ts"
