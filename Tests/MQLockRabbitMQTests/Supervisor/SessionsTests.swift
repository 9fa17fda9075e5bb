import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

/// One provider with more locks than a connection has channels: further sessions, each of which stands for itself.
@Suite("Further sessions", .timeLimit(.minutes(5)))
struct SessionsTests {
    /// Six locks a session: one channel proves its life, and one is left for others.
    private static let channelMax: UInt16 = 8
    private static let perSession = 6

    private func names(_ count: Int) throws -> [LockName] { try (0..<count).map { try LockName("further/\($0)") } }

    private func locks(
        _ broker: FakeBroker, _ mutex: RabbitMQLocks.Mutex = .singleActiveConsumer, sticky: Duration? = nil,
        observer: (any LockObserver)? = nil
    ) throws -> RabbitMQLocks {
        var configuration = RabbitMQLocks.Configuration(uri: broker.uri, mutex: mutex)
        configuration.backoff = .milliseconds(1) ... .milliseconds(20)
        configuration.answersQuestions = false
        configuration.sticky = sticky
        return try RabbitMQLocks(configuration, observer: observer)
    }

    /// The connections on which the names' queues were consumed last.
    private func connections(_ broker: FakeBroker) -> [String: Int] {
        let consumes = broker.requests.filter { $0.classID == 60 && $0.methodID == 20 }
        return Dictionary(consumes.map { ($0.queue, $0.connection) }) { $1 }
    }

    private func connection(of name: LockName, _ broker: FakeBroker) throws -> Int {
        try #require(connections(broker)[ObjectNames(name, vhost: "/").queue])
    }

    /// What the broker says to end a connection.
    private static func farewell(_ code: UInt16, _ text: String) -> [UInt8] {
        Frames.method(0, 10, 50, Frames.bytes(code) + Frames.short(text) + Frames.bytes(UInt32(0)))
    }

    @Test(arguments: RabbitMQLocks.Mutex.allCases) func moreLocksThanChannels(_ mutex: RabbitMQLocks.Mutex) async throws
    {
        let broker = try FakeBroker(channelMax: Self.channelMax)
        let log = EventLog()
        let locks = try locks(broker, mutex, observer: log)
        let names = try names(40)
        let held = names.map { Contender(locks, $0, within: .seconds(60)) }
        for contender in held { #expect(try await contender.lease().isValid) }
        let sessions = Set(log.events.filter { $0.kind == .connected }.map(\.provider))
        #expect(sessions.count >= 40 / Self.perSession)
        // Nothing of it was refused, and no session has ended.
        #expect(!log.events.contains { [.failed, .lost, .disconnected].contains($0.kind) })
        #expect(locks.isConnected && locks.lastError == nil)

        // They wait in another program, and are served when the first one releases.
        let other = try self.locks(broker, mutex)
        let waiting = names.map { Contender(other, $0, within: .seconds(60)) }
        for contender in held { #expect(try await contender.release() == nil) }
        for (before, contender) in zip(held, waiting) {
            #expect(try await contender.lease().fencingToken > before.lease().fencingToken)
            #expect(try await contender.release() == nil)
        }
        await locks.shutdown()
        await other.shutdown()
        #expect(!locks.isConnected)
        try await eventually("each session has reported its end") {
            Set(log.events.filter { $0.kind == .stopped }.map(\.provider)).isSuperset(of: sessions)
        }
        // Each session's connection was closed in good order.
        let used = broker.requests.filter { $0.classID == 60 && $0.methodID == 20 }.map(\.connection)
        let closed = broker.requests.filter { $0.classID == 10 && $0.methodID == 50 }.map(\.connection)
        #expect(Set(used).isSubset(of: closed))
    }

    /// A name stays with the session that knows it, and the first free channel is used before another session is opened.
    @Test func aNameStaysWhereItIs() async throws {
        let broker = try FakeBroker(channelMax: Self.channelMax)
        let locks = try locks(broker)
        let names = try names(10)
        var held = names.map { Contender(locks, $0, within: .seconds(60)) }
        for contender in held { _ = try await contender.lease() }
        let place = connections(broker)
        let (first, further) = (place.values.min(), place.values.max())
        #expect(Set(place.values).count == 2)
        let moved = try #require(place.filter { $0.value == further }.keys.min())
        let index = try #require(names.firstIndex { try ObjectNames($0, vhost: "/").queue == moved })
        for _ in 0..<3 {
            #expect(try await held[index].release() == nil)
            held[index] = Contender(locks, names[index], within: .seconds(60))
            _ = try await held[index].lease()
            #expect(try connection(of: names[index], broker) == further)
        }
        // A new name takes the place of one that the first session has released.
        let gone = try #require(names.firstIndex { try connection(of: $0, broker) == first })
        #expect(try await held[gone].release() == nil)
        try await eventually("the broker has confirmed the end of a channel") {
            broker.requests.contains { $0.connection == first && $0.classID == 20 && $0.methodID == 40 }
        }
        let before = broker.connections
        let new = try await locks.acquire("further/new", within: .seconds(60))
        #expect(broker.connections == before)
        try await new.release()
        for (index, contender) in held.enumerated() where index != gone {
            #expect(try await contender.release() == nil)
        }
        await locks.shutdown()
    }

    @Test func theEndOfOneSessionEndsItsOwnLocks() async throws {
        let doomed = Locked<Int?>(nil)
        let broker = try FakeBroker(channelMax: Self.channelMax) { request in
            let isDoomed = doomed.withLock { doomed in
                guard doomed == request.connection else { return false }
                doomed = nil
                return true
            }
            return isDoomed ? Self.farewell(320, "CONNECTION_FORCED - by a test") : []
        }
        let log = EventLog()
        let locks = try locks(broker, observer: log)
        let names = try names(20)
        let held = names.map { Contender(locks, $0, within: .seconds(60)) }
        for contender in held { _ = try await contender.lease() }
        let place = connections(broker)
        let victim = try #require(place.values.max())
        doomed.withLock { $0 = victim }
        for (name, contender) in zip(names, held) {
            let lease = try await contender.lease()
            guard try connection(of: name, broker) == victim else { continue }
            #expect(try await lease.lossReason()?.kind == .connectionClosed)
            #expect(try await contender.release()?.code == .lost)
        }
        let lost = place.values.count { $0 == victim }
        #expect(lost > 0 && lost < names.count)
        let valid = try await held.asyncCount { try await $0.lease().isValid }
        #expect(valid == names.count - lost)
        // It comes back by itself, and the names are free.
        for (name, contender) in zip(names, held) where try !(await contender.lease().isValid) {
            try await locks.acquire(name, within: .seconds(60)).release()
        }
        for contender in held where try await contender.lease().isValid {
            #expect(try await contender.release() == nil)
        }
        await locks.shutdown()
        #expect(log.events.count { $0.kind == .disconnected } == 1)
    }

    /// Where the broker admits no further session, one lock more is refused, in its words, and costs no other.
    @Test func theBrokerAdmitsNoFurtherSession() async throws {
        let broker = try FakeBroker(channelMax: Self.channelMax) { request in
            guard request.connection > 1, request.classID == 10, request.methodID == 40 else { return [] }
            return Self.farewell(
                530, "NOT_ALLOWED - access to vhost '/' refused for user 'u': connection limit (2) is reached")
        }
        let log = EventLog()
        let locks = try locks(broker, observer: log)
        let names = try names(Self.perSession + 2)
        let held = names.prefix(Self.perSession).map { Contender(locks, $0, within: .seconds(60)) }
        for contender in held { _ = try await contender.lease() }
        for name in names.suffix(2) {
            let error = try await Contender(locks, name, within: .seconds(60)).failure()
            #expect(
                error?.code == .limitExceeded && error?.message.contains("connection limit (2)") == true,
                "\(error as Any)")
            await #expect(throws: LockError.self) { _ = try await locks.tryAcquire(name) }
        }
        for contender in held { #expect(try await contender.lease().isValid) }
        #expect(locks.isConnected)
        // What becomes free is used.
        #expect(try await held[0].release() == nil)
        try await locks.acquire(names[Self.perSession], within: .seconds(60)).release()
        for contender in held.dropFirst() { #expect(try await contender.release() == nil) }
        #expect(!log.events.contains { $0.kind == .disconnected })
        await locks.shutdown()
    }

    /// Random acquires, tries and releases of two programs, whose sessions end now and then: no two valid leases of a
    /// name, its tokens grow, and none of it leaves a lock behind.
    @Test(arguments: [Duration.zero, .milliseconds(50)]) func exclusion(sticky: Duration) async throws {
        let seed = TestSeed.next()
        print("further sessions: MQLOCK_SEED=\(seed)")
        let doomed = Locked<Set<Int>>([])
        let broker = try FakeBroker(channelMax: Self.channelMax) { request in
            let isDoomed = doomed.withLock { $0.remove(request.connection) != nil }
            return isDoomed ? Self.farewell(320, "CONNECTION_FORCED - by a test") : []
        }
        let logs = [EventLog(), EventLog()]
        let programs = try logs.map { try locks(broker, sticky: sticky, observer: $0) }
        let names = try names(30)
        let ledger = Ledger()
        let rounds = LiveBroker.isFullRun ? 200 : 20
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<60 {
                group.addTask {
                    var random = SeededGenerator(seed &+ UInt64(task))
                    for _ in 0..<rounds {
                        let name = names.randomElement(using: &random) ?? names[0]
                        let limit = Duration.milliseconds(Int.random(in: 1...300, using: &random))
                        let isTry = Int.random(in: 0..<4, using: &random) == 0
                        let steps = Int.random(in: 0..<20, using: &random)
                        if Int.random(in: 0..<60, using: &random) == 0 {
                            let victim = Int.random(in: 0..<max(1, broker.connections), using: &random)
                            doomed.withLock { _ = $0.insert(victim) }
                        }
                        do {
                            let locks = programs[task % 2]
                            guard
                                let held = isTry
                                    ? try await locks.tryAcquire(name) : try await locks.acquire(name, within: limit)
                            else { continue }
                            ledger.granted(held.lease)
                            for _ in 0..<steps { await Task.yield() }
                            try await held.release()
                        } catch let error as LockError {
                            ledger.failed(error)
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        doomed.withLock { $0 = [] }
        #expect(ledger.violations.isEmpty, "\(ledger.violations.prefix(5)), MQLOCK_SEED=\(seed)")
        #expect(ledger.unexpected.isEmpty, "\(ledger.unexpected.prefix(5)), MQLOCK_SEED=\(seed)")
        #expect(ledger.grants > 100)
        for log in logs {
            #expect(Set(log.events.filter { $0.kind == .connected }.map(\.provider)).count > 1)
        }
        #expect(logs.contains { $0.events.contains { $0.kind == .disconnected } })
        for locks in programs {
            for name in names {
                let held = try await locks.acquire(name, within: .seconds(60))
                ledger.granted(held.lease)
                try await held.release()
            }
        }
        #expect(ledger.violations.isEmpty, "\(ledger.violations.prefix(5)), MQLOCK_SEED=\(seed)")
        for locks in programs { await locks.shutdown() }
    }
}

/// What was granted, in the order of the grants. Our client learns of the end of a session before the broker hands its
/// locks on, so a lease is valid as long as nobody else can have one.
private final class Ledger: Sendable {
    private struct Storage {
        var last: [LockName: Lease] = [:]
        var grants = 0
        var violations: [String] = []
        var unexpected: [LockError] = []
    }

    private let storage = Locked(Storage())

    var grants: Int { storage.withLock { $0.grants } }
    var violations: [String] { storage.withLock { $0.violations } }
    var unexpected: [LockError] { storage.withLock { $0.unexpected } }

    func granted(_ lease: Lease) {
        storage.withLock { storage in
            storage.grants += 1
            if let last = storage.last[lease.name] {
                // A lease that was lost at once may be noted late.
                if last.isValid, lease.isValid { storage.violations.append("two hold \(lease.name)") }
                if last.fencingToken == lease.fencingToken { storage.violations.append("\(lease.name): a token twice") }
                guard lease.fencingToken > last.fencingToken else {
                    if lease.isValid { storage.violations.append("\(lease.name): a token that is not larger") }
                    return
                }
            }
            storage.last[lease.name] = lease
        }
    }

    func failed(_ error: LockError) {
        guard ![.timedOut, .lost, .unreachable].contains(error.code) else { return }
        storage.withLock { $0.unexpected.append(error) }
    }
}

extension Array {
    fileprivate func asyncCount(_ isCounted: (Element) async throws -> Bool) async rethrows -> Int {
        var count = 0
        for element in self where try await isCounted(element) { count += 1 }
        return count
    }
}
