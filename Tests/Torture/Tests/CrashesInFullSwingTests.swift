import MQLock
import MQLockRabbitMQ
import Testing

extension TortureTests {
    /// The broker is killed again and again under contenders that never rest.
    @Suite struct CrashesInFullSwingTests {}
}

extension TortureTests.CrashesInFullSwingTests {
    /// Crashes while locks change hands all the time: nobody is ever granted a number twice, or a smaller one.
    @Test(
        .enabled(if: LiveBroker.isFullRun, "full: MQLOCK_TEST_FULL=1"),
        arguments: RabbitMQLocks.Mutex.allCases)
    func tokensGrowOverCrashesInFullSwing(_ mutex: RabbitMQLocks.Mutex) async throws {
        let node = try await PrivateNode.shared()
        try await node.broker.withName { name in
            let providers = try (1...3).map { _ in
                try node.broker.locks("heartbeat=1", mutex: mutex)
            }
            let seen = Locked<[FencingToken]>([])
            let workers = providers.map { locks in
                Task {
                    while !Task.isCancelled {
                        guard let held = try? await locks.acquire(name, within: .seconds(60)) else { continue }
                        let lease = held.lease
                        // In the order of the grants, as exclusion has it.
                        if lease.isValid { seen.withLock { $0.append(lease.fencingToken) } }
                        try? await held.release()
                    }
                }
            }
            for _ in 1...5 {
                try await TortureTests.FaultTests.outliveYoungQueues()
                let before = seen.withLock { $0.count }
                try await eventually("grants") { seen.withLock { $0.count } > before + 20 }
                try await node.crash()
                try await node.start()
            }
            let before = seen.withLock { $0.count }
            try await eventually("grants after the last crash") { seen.withLock { $0.count } > before + 20 }
            for worker in workers { worker.cancel() }
            for worker in workers { await worker.value }
            let tokens = seen.withLock { $0 }
            #expect(zip(tokens, tokens.dropFirst()).allSatisfy(<))
            print("\(mutex): \(tokens.count) grants over five crashes of the broker")
            for locks in providers { await locks.shutdown() }
        }
    }
}
