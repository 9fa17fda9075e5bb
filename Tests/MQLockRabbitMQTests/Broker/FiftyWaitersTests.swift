import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Rule 10: those who wait for an exclusive queue do not fill the broker's log with refused declarations.
    @Suite struct FiftyWaitersTests {}
}

/// How often the broker refused a name's queue, by its own log.
struct Refusals {
    private let folder: URL

    /// From here on the private broker logs channel errors, as others do by default.
    init(_ broker: LiveBroker) async throws {
        guard let path = ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ_LOG"] else {
            throw Overdue(what: "MQLOCK_RABBITMQ_LOG", limit: .zero)
        }
        folder = URL(fileURLWithPath: path)
        try await broker.ctl(
            "-q", "eval",
            """
            Raise = fun({Name, {Filter, #{channel := _} = Levels}}) -> {Name, {Filter, Levels#{channel => error}}};
                (Other) -> Other end,
            [ok = logger:set_handler_config(Id, filters, lists:map(Raise, Filters))
                || #{id := Id, filters := Filters} <- logger:get_handler_config()].
            """)
    }

    /// The lines of the log, with their times.
    func all(of name: LockName) throws -> [Substring] {
        let needle = "locked queue 'mqlock.v1/\(name)'"
        return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "log" }
            .flatMap { String(decoding: try Data(contentsOf: $0), as: UTF8.self).split(separator: "\n") }
            .filter { $0.contains(needle) }
    }
}

extension LiveBrokerTests.FiftyWaitersTests {
    /// Long enough for a rate: the first second has the most.
    private static let window = Duration.seconds(LiveBroker.isFullRun ? 120 : 12)

    private func waiters(_ broker: LiveBroker, for name: LockName) async throws -> [(RabbitMQLocks, Contender)] {
        let waiters = try (0..<50).map { _ in
            let locks = try broker.locks("heartbeat=10", mutex: .exclusiveQueue)
            return (locks, Contender(locks, name))
        }
        let line = try broker.objects(name).line
        try await eventually("fifty waiters in line") { try await broker.consumers(of: line) >= 50 }
        return waiters
    }

    /// One after the other gets it, and the broker has refused nothing to anybody.
    @Test func behindAHolderNothingIsRefused() async throws {
        let broker = try LiveBrokerTests.broker()
        let refusals = try await Refusals(broker)
        try await broker.withName { name in
            let locks = try broker.locks(mutex: .exclusiveQueue)
            let holder = Contender(locks, name)
            let lease = try await holder.lease()
            var waiting = try await waiters(broker, for: name)
            // Their first seeds come within it.
            try await Task.sleep(for: .seconds(4))
            #expect(lease.isValid)
            #expect(try await holder.release() == nil)
            while !waiting.isEmpty {
                try await eventually("a waiter's grant") { waiting.contains { $0.1.outcome.current != nil } }
                let granted = waiting.filter { $0.1.outcome.current != nil }
                #expect(granted.count == 1, "one holder at a time")
                #expect(try await granted[0].1.release() == nil)
                waiting.removeAll { $0.1 === granted[0].1 }
                await granted[0].0.shutdown()
            }
            await locks.shutdown()
            #expect(try refusals.all(of: name) == [])
        }
    }

    /// A provider that shuts down right after a release closes its connection only when the queue is deleted: the broker
    /// would end the place in line and the queue in any order, and here the queue is slow.
    @Test func aReleaseIsCarriedOutBeforeTheShutdown() async throws {
        let broker = try LiveBrokerTests.broker()
        let refusals = try await Refusals(broker)
        try await broker.withName { name in
            let objects = try broker.objects(name)
            func queue(_ verb: String) async throws {
                try await broker.ctl(
                    "-q", "eval",
                    """
                    {ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"\(objects.queue)">>)),
                    ok = sys:\(verb)(amqqueue:get_pid(Q)).
                    """)
            }
            let holding = try broker.locks(mutex: .exclusiveQueue)
            let waiting = try broker.locks(mutex: .exclusiveQueue)
            let holder = Contender(holding, name)
            _ = try await holder.lease()
            let next = Contender(waiting, name)
            try await eventually("a waiter in line") { try await broker.consumers(of: objects.line) == 2 }
            try await queue("suspend")
            #expect(try await holder.release() == nil)
            async let down: Void = holding.shutdown(within: .seconds(60))
            // Takes longer than a refusal would.
            try await queue("resume")
            _ = try await next.lease()
            await down
            #expect(try await next.release() == nil)
            await waiting.shutdown()
            #expect(try refusals.all(of: name) == [])
        }
    }

    /// A foreign connection has the queue: it stands in no line and wakes nobody: only then there is an interval.
    @Test func behindAForeignConnectionFewerThanOneASecond() async throws {
        let broker = try LiveBrokerTests.broker()
        let refusals = try await Refusals(broker)
        try await broker.withName { name in
            let queue = try broker.objects(name).queue
            // There is a line before fifty come at once: RabbitMQ closes connections that consume a quorum queue in the
            // very moment when another makes it (541).
            let locks = try broker.locks(mutex: .exclusiveQueue)
            try await locks.acquire(name, within: .seconds(20)).release()
            await locks.shutdown()
            let (taken, mayGo) = (OneShot<Void>(), DispatchSemaphore(value: 0))
            Thread.detachNewThread {
                // Refused as long as the queue of the lock that was just released is on its way out. The client services no
                // heartbeats.
                while taken.current == nil {
                    try? RawClient.run("\(broker.uri)?heartbeat=300") { client in
                        try client.declareExclusive(queue)
                        taken.fulfil(())
                        mayGo.wait()
                    }
                }
            }
            try await taken.value()
            let before = try refusals.all(of: name).count
            let start = ContinuousClock.now
            let waiting = try await waiters(broker, for: name)
            try await Task.sleep(for: Self.window)
            let count = try refusals.all(of: name).count - before
            let seconds = start.duration(to: .now) / .seconds(1)
            print("fifty waiters behind a foreign connection: \(count) refusals in \(seconds) s")
            #expect(count > 0 && !waiting.contains { $0.1.outcome.current != nil }, "the foreign connection is there")
            #expect(Double(count) < seconds)
            mayGo.signal()
            // At the next try, within ten seconds.
            try await eventually("a grant") { waiting.contains { $0.1.outcome.current != nil } }
            for (locks, contender) in waiting {
                contender.cancel()
                await locks.shutdown(within: .zero)
            }
        }
    }
}
