import MQLock

/// - Returns: whether the prices were imported; false when someone else had the lock for ten seconds.
func importPrices(_ locks: some LockProvider) async throws -> Bool {
    do {
        try await locks.withLock("prices", within: .seconds(10)) { lease in
            try await store(makeReport(), fence: lease.fencingToken)
        }
        return true
    } catch let error as LockError where error.code == .timedOut {
        return false
    }
}
