import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Locks that stay in a process after their release, on the real broker.
    @Suite struct StickyLockTests {}
}

extension LiveBrokerTests.StickyLockTests {
    /// - Parameter stay: so long that no test gets by because a stay has ended by itself.
    private func locks(
        _ broker: LiveBroker, _ stay: Duration = .seconds(60), mutex: RabbitMQLocks.Mutex = .singleActiveConsumer,
        _ query: String = "heartbeat=10", owner: String? = nil, observer: (any LockObserver)? = nil
    ) throws -> RabbitMQLocks {
        try broker.locks(query, mutex: mutex, observer: observer) { configuration in
            configuration.sticky = stay
            if let owner { configuration.owner = owner }
        }
    }

    @discardableResult
    private func hold(_ locks: RabbitMQLocks, _ name: LockName) async throws -> FencingToken {
        let held = try await locks.acquire(name, within: .seconds(20))
        let token = held.lease.fencingToken
        try await held.release()
        return token
    }

    /// Acquires and releases until the lock stays here: the second grant in a row is the first to stay.
    @discardableResult
    private func keep(_ locks: RabbitMQLocks, _ name: LockName) async throws -> FencingToken {
        try await hold(locks, name)
        let second = try await hold(locks, name)
        let third = try await hold(locks, name)
        try #require(third.rawValue == second.rawValue + 1, "the third grant is not a local one")
        return third
    }

    private func grants(_ tokens: [FencingToken]) -> Int { Set(tokens.map { $0.rawValue / TokenNumber.step }).count }

    // MARK: In one process

    @Test(arguments: ["heartbeat=10", "heartbeat=10&proof=quorum"])
    func thirtyTwoGrantsCostTheBrokerOneAndTheirTokensGrow(_ query: String) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try locks(broker, query)
            var tokens: [FencingToken] = []
            for _ in 0..<100 { tokens.append(try await hold(locks, name)) }
            #expect(zip(tokens, tokens.dropFirst()).allSatisfy(<))
            // One alone, then three times 32, and the rest.
            #expect(grants(tokens) == 5, "\(tokens)")
            await locks.shutdown()
        }
    }

    private func locks(_ broker: LiveBroker, _ query: String) throws -> RabbitMQLocks {
        try locks(broker, .seconds(60), mutex: .singleActiveConsumer, query)
    }

    @Test func tasksOfOneProcessAreServedUnderOneGrant() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try locks(broker)
            try await keep(locks, name)
            let granted = Locked<[FencingToken]>([])
            try await withThrowingTaskGroup { group in
                for _ in 0..<16 {
                    group.addTask {
                        let held = try await locks.acquire(name, within: .seconds(20))
                        granted.withLock { $0.append(held.lease.fencingToken) }
                        await Task.yield()
                        try await held.release()
                    }
                }
                try await group.waitForAll()
            }
            let tokens = granted.withLock { $0 }
            #expect(tokens.count == 16 && zip(tokens, tokens.dropFirst()).allSatisfy(<))
            #expect(grants(tokens) == 1)
            await locks.shutdown()
        }
    }

    /// By the option, and with the mutexes in which no want would reach the holder.
    @Test(
        arguments: [
            (.singleActiveConsumer, .zero), (.token, .seconds(60)), (.exclusiveQueue, .seconds(60)),
        ] as [(RabbitMQLocks.Mutex, Duration)])
    func whereItIsOffEveryGrantIsTheBrokers(_ mutex: RabbitMQLocks.Mutex, _ stay: Duration) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try locks(broker, stay, mutex: mutex)
            var tokens: [FencingToken] = []
            for _ in 0..<5 { tokens.append(try await hold(locks, name)) }
            #expect(grants(tokens) == 5 && zip(tokens, tokens.dropFirst()).allSatisfy(<))
            await locks.shutdown()
        }
    }

    // MARK: Between processes

    /// The stay lasts a minute, so the want has done it; and the next grants belong to whoever asked.
    @Test(arguments: [false, true]) func aWaiterElsewhereGetsALockThatIsKept(_ tries: Bool) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let (one, other) = (try locks(broker), try locks(broker))
            // Its connection for publishing is up: a try has 25 ms.
            try await hold(other, LockName("\(name.string)/warm"))
            let last = try await keep(one, name)
            if tries {
                try await eventually("a try is granted") {
                    guard let held = try await other.tryAcquire(name) else { return false }
                    #expect(held.lease.fencingToken > last)
                    try await held.release()
                    return true
                }
            } else {
                let start = ContinuousClock.now
                #expect(try await hold(other, name) > last)
                #expect(start.duration(to: .now) < .seconds(20))
            }
            #expect(try await hold(one, name) > last)
            broker.clean([try LockName("\(name.string)/warm")])
            for locks in [one, other] { await locks.shutdown() }
        }
    }

    /// A process with one waiter beside one with 64 that always want it is granted the lock, again and again.
    @Test func aProcessWithManyWaitersDoesNotKeepOutOneWithOne() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let (crowd, single) = (try locks(broker), try locks(broker))
            try await keep(crowd, name)
            let granted = Locked<[FencingToken]>([])
            let tasks = (0..<64).map { _ in
                Task {
                    while !Task.isCancelled {
                        let held = try await crowd.acquire(name, within: .seconds(60))
                        granted.withLock { $0.append(held.lease.fencingToken) }
                        try await held.release()
                    }
                }
            }
            var (most, longest) = (0, Duration.zero)
            for _ in 0..<10 {
                try await eventually("the crowd is at work") {
                    defer { granted.withLock { $0 = [] } }
                    return granted.withLock { $0.count } > 40
                }
                let start = ContinuousClock.now
                let held = try await single.acquire(name, within: .seconds(60))
                // Under a grant of the broker's before ours, from our call on.
                let before = granted.withLock { $0 }.filter { $0 < held.lease.fencingToken }
                longest = max(longest, start.duration(to: .now))
                most = max(most, grants(before))
                try await held.release()
            }
            print("beside 64 waiters of one process one waited at most \(longest), and \(most) grants of the broker")
            // The one under way when it joins the line, and what the crowd is granted before that: as many as this machine
            // is slow, so the number proves nothing. Without wants and bounds the lock would be the crowd's for good, and
            // the acquires above would time out.
            for task in tasks { task.cancel() }
            for task in tasks { _ = await task.result }
            for locks in [crowd, single] { await locks.shutdown() }
        }
    }

    // MARK: Endings

    /// By a shutdown, or because nobody has the provider any more.
    @Test(arguments: [false, true]) func aProgramThatEndsReturnsAKeptLock(_ shutsDown: Bool) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            // Whoever sends no wants waits for nothing else.
            let other = try locks(broker, .zero)
            var one: RabbitMQLocks? = try locks(broker)
            if let one { try await keep(one, name) }
            let start = ContinuousClock.now
            if shutsDown { await one?.shutdown(within: .seconds(50)) }
            one = nil
            try await hold(other, name)
            #expect(start.duration(to: .now) < .seconds(20))
            await other.shutdown()
        }
    }

    /// Where nobody asks, the stay ends it.
    @Test func theStayEndsByItself() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let (one, other) = (try locks(broker, .milliseconds(500)), try locks(broker, .zero))
            let last = try await keep(one, name)
            #expect(try await hold(other, name) > last)
            for locks in [one, other] { await locks.shutdown() }
        }
    }

    private final class Losses: LockObserver {
        let events = Locked<[LockEvent.Kind]>([])
        func observe(_ event: LockEvent) { events.withLock { $0.append(event.kind) } }
    }

    /// Nobody holds it, so nobody is notified; and nothing of it is granted any more.
    @Test(arguments: ["session", "queue"]) func aKeptLockIsLostInSilence(_ what: String) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let (owner, losses) = ("sticky-\(UInt32.random(in: 0 ... .max))", Losses())
            let one = try locks(broker, owner: owner, observer: losses)
            let queue = try broker.objects(name).queue
            let last = try await keep(one, name)
            if what == "session" {
                try await broker.closeConnections("\(owner) locks")
            } else {
                try broker.raw { try $0.delete(queue) }
            }
            try await eventually("a grant of the broker's") {
                try await hold(one, name).rawValue >= last.rawValue + TokenNumber.step
            }
            #expect(losses.events.withLock { $0.filter { $0 == .lost } } == [])
            await one.shutdown()
        }
    }

    /// A number that is raised is below all later ones: none is granted locally.
    @Test func aRaisedNumberEndsTheStay() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let one = try locks(broker)
            try await keep(one, name)
            let held = try await one.acquire(name, within: .seconds(20))
            let goal = FencingToken(rawValue: held.lease.fencingToken.rawValue + 1000)!
            let raised = try await one.raise(held.lease, above: goal)
            try await held.release()
            #expect(raised > goal)
            #expect(try await hold(one, name) > raised)
            await one.shutdown()
        }
    }

    // MARK: The rules

    @Test func aStickyMutexKeepsTheRules() async throws {
        let broker = try LiveBrokerTests.broker()
        let names = Locked<[LockName]>([])
        defer { broker.clean(names.withLock { $0 }) }
        var subject = ConformanceSubject<RabbitMQLocks>(handOverLimit: .seconds(6)) { options in
            try broker.locks(mutex: .singleActiveConsumer, observer: options.observer) { configuration in
                configuration.sticky = .seconds(1)
                configuration.maximumWaiters = options.maximumWaiters ?? configuration.maximumWaiters
            }
        }
        subject.patience = .seconds(60)
        subject.close = { await $0.shutdown() }
        let random = subject.makeName
        subject.makeName = {
            let name = random()
            names.withLock { $0.append(name) }
            return name
        }
        var effort = LockConformance<RabbitMQLocks>.Effort()
        (effort.names, effort.seed) = (100, TestSeed.next())
        let rules: Set<ConformanceRule> = [
            .exclusion, .cancellationLeaksNothing, .ownedRelease, .localArbitration, .noPolling,
        ]
        let report = await LockConformance(subject, effort: effort).run(rules)
        print("sticky: MQLOCK_SEED=\(effort.seed)\n\(report)")
        #expect(report.hasPassed, "\(report)")
    }
}
