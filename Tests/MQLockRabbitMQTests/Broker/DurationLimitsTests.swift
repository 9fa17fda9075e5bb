import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// The durations of a program that runs, at every limit.
    @Suite(.timeLimit(.minutes(2))) struct DurationLimitsTests {
        @Test func everyDurationOfAProvider() async throws {
            let broker = try LiveBrokerTests.broker()
            for (name, set) in ConfigurationLimitsTests.durations {
                for duration in Duration.extremes where duration > .seconds(1) {
                    for mutex in RabbitMQLocks.Mutex.allCases {
                        let locks: RabbitMQLocks
                        do {
                            locks = try broker.locks("", mutex: mutex) { set(&$0, duration) }
                        } catch {
                            continue
                        }
                        let held = try await locks.acquire("test/limits/\(mutex)", within: duration)
                        #expect(held.lease.isValid, "\(name) of \(duration.readable)")
                        try await held.release()
                        await locks.shutdown(within: name == "drainTimeout" ? nil : duration)
                    }
                }
            }
        }

        @Test(arguments: Duration.extremes) func everyLimitOfACall(_ limit: Duration) async throws {
            let broker = try LiveBrokerTests.broker()
            let holder = try broker.locks(mutex: .token)
            let waiter = try broker.locks(mutex: .token)
            let inspector = try RabbitMQInspector(RabbitMQLocks.Configuration(uri: broker.uri))
            let name = try LockName("test/limits/\(UInt32.random(in: 0 ... .max))")
            let held = try await holder.acquire(name)
            // A limit that is over at once leaves no time to connect.
            try await waiter.verify()
            let wait = Contender(waiter, name, within: limit)
            if limit > .seconds(1) {
                try await broker.waitForLine(of: name, 2)
                // Only silence takes the whole limit, and a holder answers as soon as it listens.
                try await eventually("the holder in the view") {
                    try await inspector.view(name, within: limit).holders.count == 1
                }
                wait.cancel()
                #expect(try await wait.failure()?.code == .cancelled)
            } else {
                #expect(try await wait.failure()?.code == .timedOut)
                _ = try await inspector.view(name, within: limit)
            }
            // A shutdown waits for the holder as long as it is told to, and no longer.
            let stopping = Task { await holder.shutdown(within: limit) }
            if limit <= .seconds(1) {
                await stopping.value
                #expect(!held.lease.isValid)
            }
            _ = try? await held.release()
            await stopping.value
            await waiter.shutdown(within: limit)
        }
    }
}
