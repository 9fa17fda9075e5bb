import MQLock

func settleAccounts(_ locks: some LockProvider) async throws {
    try await locks.withLock("accounts", within: .seconds(30)) { lease in
        let report = try await makeReport()  // cancelled when the lock is lost
        try lease.check(atLeast: .seconds(2))  // nothing has to be extended; this looks whether it is still ours
        try await store(report, fence: lease.fencingToken)
    }
}
