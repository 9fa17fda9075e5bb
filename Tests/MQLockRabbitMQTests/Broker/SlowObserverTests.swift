import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// An observer that blocks slows no hand-over.
    @Suite struct SlowObserverTests {}
}

extension LiveBrokerTests.SlowObserverTests {
    /// Takes a tenth of a second for every event, until it is let go.
    private final class Sleeper: LockObserver {
        private let isAwake = Locked(false)
        private let seen = Locked((events: 0, dropped: 0))

        func observe(_ event: LockEvent) {
            seen.withLock { $0 = ($0.events + 1, $0.dropped + event.droppedBefore) }
            if !isAwake.withLock({ $0 }) { Thread.sleep(forTimeInterval: 0.1) }
        }

        func awake() { isAwake.withLock { $0 = true } }

        var accounted: (events: Int, dropped: Int) { seen.withLock { $0 } }
    }

    /// Passes a lock to and fro between two providers.
    private struct Pair {
        let providers: [RabbitMQLocks]
        let name: LockName

        init(_ broker: LiveBroker, _ name: LockName, _ observer: (any LockObserver)?) throws {
            providers = try (0..<2).map { _ in
                try broker.locks("heartbeat=10", mutex: .singleActiveConsumer, observer: observer)
            }
            self.name = name
        }

        /// From each release to the next grant.
        func handOvers(_ count: Int, _ broker: LiveBroker) async throws -> [Duration] {
            let released = Locked<ContinuousClock.Instant?>(nil)
            let gaps = Locked<[Duration]>([])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for locks in providers {
                    group.addTask {
                        for _ in 0..<count {
                            let held = try await locks.acquire(name)
                            let now = ContinuousClock.now
                            if let released = released.withLock({ $0 }) {
                                gaps.withLock { $0.append(released.duration(to: now)) }
                            }
                            released.withLock { $0 = .now }
                            try await held.release()
                        }
                    }
                }
                try await group.waitForAll()
            }
            return gaps.withLock { $0 }
        }
    }

    @Test func handOversAreNotSlower() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            // More than any test machine has processors to run them on.
            let sleepers = (0..<ProcessInfo.processInfo.activeProcessorCount * 2).map { _ in Sleeper() }
            let log = EventLog()
            let group = LockObserverGroup([log, LockObserverGroup(sleepers, capacity: 8)])
            let (plain, observed) = (try Pair(broker, name, nil), try Pair(broker, name, group))
            var (without, with): ([Duration], [Duration]) = ([], [])
            // In turns, so that both see the same machine.
            for _ in 0..<4 {
                without += try await plain.handOvers(15, broker)
                with += try await observed.handOvers(15, broker)
            }
            let medians = [without, with].map { $0.sorted()[$0.count / 2] }
            print(
                "hand-over: \(medians[0].readable) unobserved, \(medians[1].readable) with slow observers, ratio \(medians[1] / medians[0])"
            )
            // One event more or less on the way would be 100 ms.
            #expect(medians[1] < medians[0] * 3 + .milliseconds(25))

            for sleeper in sleepers { sleeper.awake() }
            for locks in plain.providers { await locks.shutdown() }
            // Drops are told by the next event that finds room, so there have to be more events.
            try await eventually("all that was sent to be seen or counted as dropped") {
                try await observed.providers[0].acquire(name).release()
                try await Task.sleep(for: .milliseconds(20))
                let sent = log.events.count
                return sleepers.allSatisfy { $0.accounted.events + $0.accounted.dropped == sent }
            }
            #expect(sleepers.allSatisfy { $0.accounted.dropped > 100 }, "\(sleepers.map(\.accounted))")
            for locks in observed.providers { await locks.shutdown() }
        }
    }
}
