import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// The single active consumer on the real broker.
    @Suite struct SingleActiveConsumerTests {}
}

extension LiveBrokerTests.SingleActiveConsumerTests {
    private func locks(
        _ broker: LiveBroker, observer: (any LockObserver)? = nil,
        settings: ((inout SessionSettings) -> Void)? = nil
    ) throws -> RabbitMQLocks {
        try broker.locks(mutex: .singleActiveConsumer, observer: observer, settings: settings)
    }

    @Test func numbersGrowOverReleases() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let providers = [try locks(broker), try locks(broker), try locks(broker)]
            var last: FencingToken?
            for round in 0..<60 {
                let held = try await providers[round % 3].acquire(name, within: .seconds(20))
                #expect(last.map { $0 < held.lease.fencingToken } ?? true)
                last = held.lease.fencingToken
                try await held.release()
            }
            for locks in providers { await locks.shutdown() }
        }
    }

    @Test func tenContendersAreServedInTheOrderInWhichTheyCame() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let queue = try broker.objects(name).queue
            let providers = try (0..<11).map { _ in try locks(broker) }
            let holder = Contender(providers[0], name)
            var last = try await holder.lease().fencingToken
            var waiters: [Contender] = []
            for locks in providers.dropFirst() {
                waiters.append(Contender(locks, name))
                try await eventually("\(waiters.count) waiters in line") {
                    try await broker.consumers(of: queue) == waiters.count + 1
                }
            }
            #expect(try await holder.release() == nil)
            for (index, waiter) in waiters.enumerated() {
                let lease = try await waiter.lease()
                #expect(lease.fencingToken > last)
                last = lease.fencingToken
                #expect(waiters.dropFirst(index + 1).allSatisfy { $0.outcome.current == nil })
                #expect(try await waiter.release() == nil)
            }
            for locks in providers { await locks.shutdown() }
        }
    }

    /// Whoever comes second is refused, whichever mutex it has, and told which the other has.
    @Test(arguments: [RabbitMQLocks.Mutex.token, .singleActiveConsumer])
    func anotherMutexOnTheSameNameIsRefused(_ first: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        let second: RabbitMQLocks.Mutex = first == .token ? .singleActiveConsumer : .token
        try await broker.withName { name in
            let (one, other) = (try broker.locks(mutex: first), try broker.locks(mutex: second))
            let held = try await one.acquire(name, within: .seconds(20))
            for _ in 0..<2 {
                let error = try #require(try await Contender(other, name, within: .seconds(20)).failure())
                #expect(error.code == .incompatible)
                #expect(error.message.contains("uses the single active consumer mutex (sac)") == (first == .token))
                #expect(error.message.contains("made for the single active consumer mutex") == (first != .token))
                #expect(error.message.contains("token mutex (token)"), "\(error)")
            }
            #expect(held.lease.isValid)
            try await held.release()
            await one.shutdown()
            await other.shutdown()
        }
    }

    /// A hold is renewed again and again: its number stays, and a waiter is served nothing.
    @Test func renewalKeepsTheHold() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let holding = try locks(broker, settings: { $0.renewalInterval = .milliseconds(20) })
            let waiting = try locks(broker)
            let holder = Contender(holding, name)
            let lease = try await holder.lease()
            let waiter = Contender(waiting, name)
            try await Task.sleep(for: .seconds(3))
            #expect(lease.isValid)
            #expect(waiter.outcome.current == nil)
            let token = lease.fencingToken
            #expect(try await holder.release() == nil)
            let next = try await waiter.lease().fencingToken
            // Every exchange starts from the clock: the waiter's number is far above the lease's.
            #expect(next.rawValue - token.rawValue > UInt64(1000) << 21, "exchanged for a second at least")
            #expect(try await waiter.release() == nil)
            await holding.shutdown()
            await waiting.shutdown()
        }
    }

    private static func tryOnce(_ locks: RabbitMQLocks, _ name: LockName) async throws -> Bool {
        guard let held = try await locks.tryAcquire(name) else { return false }
        try await held.release()
        return true
    }

    @Test func aTryAnswersSoon() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let (one, other) = (try locks(broker), try locks(broker))
            // Nothing is there yet: it seeds, and is granted.
            guard let held = try await one.tryAcquire(name) else {
                Issue.record("a try did not get a lock that nobody has")
                return
            }
            for _ in 0..<5 {
                let start = ContinuousClock.now
                let isGranted = try await Self.tryOnce(other, name)
                #expect(!isGranted)
                #expect(start.duration(to: .now) < .seconds(2))
            }
            try await held.release()
            // A release is on its way to the broker when it returns, and the next try may be there before.
            for locks in [one, other, one, other] {
                try await eventually("a try is granted") { try await Self.tryOnce(locks, name) }
            }
            await one.shutdown()
            await other.shutdown()
        }
    }

    /// A holder is told at once; waiters get the lock all the same, with larger numbers.
    @Test(arguments: [false, true]) func theQueueIsDeletedOrPurged(_ purged: Bool) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let queue = try broker.objects(name).queue
            let providers = [try locks(broker), try locks(broker), try locks(broker)]
            let holder = Contender(providers[0], name)
            let lease = try await holder.lease()
            let waiters = providers.dropFirst().map { Contender($0, name) }
            try await Task.sleep(for: .milliseconds(100))
            try broker.raw { try purged ? $0.purge(queue) : $0.delete(queue) }
            if purged {
                // What is held is not in the queue, as far as a purge goes.
                #expect(lease.isValid)
                #expect(try await holder.release() == nil)
            } else {
                #expect(try await lease.lossReason()?.kind == broker.kindOfDeletion)
                #expect(try await holder.release()?.code == .lost)
            }
            var last = lease.fencingToken
            var open = Array(waiters)
            while !open.isEmpty {
                try await eventually("a waiter's grant") { open.contains { $0.outcome.current != nil } }
                let granted = open.filter { $0.outcome.current != nil }
                #expect(granted.count == 1, "one holder at a time")
                let next = try await granted[0].lease()
                #expect(next.fencingToken > last)
                last = next.fencingToken
                #expect(try await granted[0].release() == nil)
                open.removeAll { $0 === granted[0] }
            }
            for locks in providers { await locks.shutdown() }
        }
    }

    @Test func whatIsForeignIsDroppedAndReported() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let log = EventLog()
            let queue = try broker.objects(name).queue
            let locks = try locks(broker, observer: log)
            let held = try await locks.acquire(name, within: .seconds(20))
            let larger = held.lease.fencingToken.rawValue + 64
            func token(_ number: UInt64) -> [UInt8] { LineMessage.token(number, Nonce()).payload }
            try broker.raw { client in
                // Straight into the queue: whatever it says, it did not come through the exchange.
                for body in [Array("hello".utf8), token(larger), [UInt8](repeating: 0, count: 3_000_000)] {
                    try client.publish(body, to: queue)
                }
            }
            try await eventually("three foreign messages") { log.events.filter { $0.kind == .foreign }.count == 3 }
            #expect(held.lease.isValid)
            // Through the exchange: a surplus token, whatever its number, is no evidence of anything.
            try broker.raw {
                try $0.publish(token(larger), exchange: ObjectNames.exchange, key: queue, properties: .init())
            }
            try await eventually("the surplus token to be taken off") {
                try broker.raw { try $0.counts(queue)?.messages } == 0
            }
            #expect(held.lease.isValid)
            #expect(log.events.filter { $0.kind == .foreign }.count == 3)
            let token = held.lease.fencingToken
            try await held.release()
            let next = try await locks.acquire(name, within: .seconds(20))
            #expect(next.lease.fencingToken > token)
            try await next.release()
            await locks.shutdown()
        }
    }

    /// An exchange and a binding that somebody has deleted are made again, and nobody loses a lock for it.
    @Test func aDeletedExchangeIsMadeAgain() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let queue = try broker.objects(name).queue
            let locks = try locks(broker, settings: { $0.renewalInterval = .milliseconds(100) })
            let held = try await locks.acquire(name, within: .seconds(20))
            try broker.raw { try $0.unbind(queue, exchange: ObjectNames.exchange, key: queue) }
            try await eventually("the binding to be made again") {
                try await broker.ctl("-q", "list_bindings", "source_name", "routing_key").split(separator: "\n")
                    .contains { $0 == "\(ObjectNames.exchange)\t\(queue)" }
            }
            #expect(held.lease.isValid)
            try await held.release()
            await locks.shutdown()
        }
    }

    /// A token that only returns pins the queue's log: it is exchanged after so many returns, and a grant waits for that
    /// after twice as many. The lock goes on, with growing numbers, and the count begins anew.
    @Test func aWornTokenIsExchanged() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let queue = try broker.objects(name).queue
            let locks = try locks(broker, settings: { $0.wear = (5, 10) })
            var last: FencingToken?
            for _ in 0..<60 {
                let held = try await locks.acquire(name, within: .seconds(20))
                #expect(last.map { $0 < held.lease.fencingToken } ?? true)
                last = held.lease.fencingToken
                try await held.release()
            }
            await locks.shutdown()
            let token = try broker.raw { try $0.firstDelivery(from: queue, prefetch: 8) }
            #expect(BrokerBehavior.returns(of: token.properties) <= 12)
        }
    }

    /// With `proof=quorum` a hold lasts while its queue hands the companion back.
    @Test func aHoldProvenByItsQueueLasts() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try broker.locks("heartbeat=1&proof=quorum", mutex: .singleActiveConsumer)
            let waiting = try broker.locks(mutex: .singleActiveConsumer)
            let held = try await locks.acquire(name, within: .seconds(20))
            let waiter = Contender(waiting, name)
            try await Task.sleep(for: .seconds(5))
            #expect(held.lease.isValid)
            #expect(waiter.outcome.current == nil)
            let token = held.lease.fencingToken
            try await held.release()
            #expect(try await waiter.lease().fencingToken > token)
            #expect(try await waiter.release() == nil)
            await locks.shutdown()
            await waiting.shutdown()
        }
    }

    /// What the hand-over costs beside the token's, uncontended and between two connections.
    @Test(arguments: [RabbitMQLocks.Mutex.singleActiveConsumer, .token, .exclusiveQueue])
    func measured(_ mutex: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let (one, other) = (try broker.locks(mutex: mutex), try broker.locks(mutex: mutex))
            func median(_ samples: [Duration]) -> String { samples.sorted()[samples.count / 2].readable }
            for locks in [one, other] {
                let held = try await locks.acquire(name, within: .seconds(20))
                try await held.release()
            }
            var alone: [Duration] = []
            for _ in 0..<200 {
                let start = ContinuousClock.now
                let held = try await one.acquire(name, within: .seconds(20))
                alone.append(start.duration(to: .now))
                try await held.release()
            }
            var handOver: [Duration] = []
            for round in 0..<100 {
                let holder = Contender(round.isMultiple(of: 2) ? one : other, name)
                _ = try await holder.lease()
                let waiter = Contender(round.isMultiple(of: 2) ? other : one, name)
                try await Task.sleep(for: .milliseconds(10))
                let start = ContinuousClock.now
                let releasing = Task { try await holder.release() }
                _ = try await waiter.lease()
                handOver.append(start.duration(to: .now))
                _ = try await releasing.value
                #expect(try await waiter.release() == nil)
            }
            print("\(mutex): acquire p50 \(median(alone)), hand-over p50 \(median(handOver))")
            await one.shutdown()
            await other.shutdown()
        }
    }
}
