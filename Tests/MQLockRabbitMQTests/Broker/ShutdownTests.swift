import MQLock
import Testing

@testable import MQLockRabbitMQ

/// `run()` ends when `shutdown()` is called, wherever the provider is by then and whoever calls it.
@Suite(.timeLimit(.minutes(1))) struct ShutdownWithoutABrokerTests {
    @Test func beforeTheRun() async throws {
        let locks = try RabbitMQLocks(RabbitMQLocks.Configuration(uri: "amqp://127.0.0.1:1"))
        await locks.shutdown()
        try await locks.run()
        let late = await #expect(throws: LockError.self) { _ = try await locks.tryAcquire("late") }
        #expect(late?.code == .shutDown)
    }

    @Test func whileItConnectsAgainAndAgain() async throws {
        let log = EventLog()
        let locks = try RabbitMQLocks(RabbitMQLocks.Configuration(uri: "amqp://127.0.0.1:1"), observer: log)
        let running = Task { try await locks.run() }
        _ = try await log.first(.connectionFailed)
        let waiter = Contender(locks, "waits")
        _ = try await log.first(.waiting)
        await locks.shutdown()
        try await running.value
        #expect(try await waiter.failure()?.code == .shutDown)
    }
}

extension LiveBrokerTests {
    @Suite(.timeLimit(.minutes(1))) struct ShutdownTests {
        @Test(arguments: RabbitMQLocks.Mutex.allCases) func fromOutsideFromAHolderAndByCancellation(
            _ mutex: RabbitMQLocks.Mutex
        ) async throws {
            for way in ["outside", "holder", "cancelled"] {
                let name = try LockName("test/shutdown/\(mutex)/\(UInt32.random(in: 0 ... .max))")
                let locks = try LiveBrokerTests.broker().locks(mutex: mutex) { $0.drainTimeout = .milliseconds(300) }
                let running = Task { try await locks.run() }
                let holder = Contender(locks, name)
                let lease = try await holder.lease()
                let waiter = Contender(locks, name)
                switch way {
                case "outside": await locks.shutdown()
                case "holder":
                    // It waits for itself, but not for ever.
                    let own = await #expect(throws: LockError.self) {
                        try await locks.withLock("\(name.string)/own") { _ in await locks.shutdown() }
                    }
                    #expect(own?.lossReason?.kind == .shutdown)
                default: running.cancel()
                }
                try await running.value
                #expect(!lease.isValid, "\(way)")
                #expect(try await waiter.failure()?.code == .shutDown, "\(way)")
                try await locks.run()
            }
        }
    }
}
