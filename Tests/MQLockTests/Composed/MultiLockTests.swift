import MQLock
import MQLockTesting
import Testing

/// What a test with a clock of its own can say exactly; the rest is in the suite of MQLockTesting, over every provider.
@Suite(.timeLimit(.minutes(1))) struct MultiLockTests {
    private let clock = ManualClock()
    private let broker: InMemoryBroker
    private let locks: InMemoryLocks
    private let others: InMemoryLocks

    init() {
        broker = InMemoryBroker(clock: clock, sessionTimeout: .seconds(1000))
        (locks, others) = (InMemoryLocks(broker), InMemoryLocks(broker))
    }

    private static func ran() { Issue.record("the body ran") }

    @Test func namesAreTakenOnceInTheOrderOfTheirBytes() throws {
        // Swift calls the two é equal, and sorts them and B otherwise than their bytes do.
        let texts = ["b", "a", "e\u{301}", "\u{e9}", "B", "a", "ab"]
        let lock = try MultiLock(texts, on: locks)
        #expect(lock.names.map(\.utf8) == Set(texts.map { Array($0.utf8) }).sorted { $0.lexicographicallyPrecedes($1) })
        #expect(lock.names.count == 6)
        let names: [LockName] = ["b", "a", "b"]
        let same = MultiLock(names, on: locks)
        #expect(same.names == ["a", "b"])
    }

    @Test func noNamesAreRefused() async {
        let lock = MultiLock([LockName](), on: locks)
        let attempts: [@Sendable () async throws -> Void] = [
            { try await lock.withLock { _ in Self.ran() } },
            { try await lock.acquire().release() },
            { if let held = try await lock.tryAcquire() { try await held.release() } },
            { [locks] in try await locks.withLocks([String]()) { _ in Self.ran() } },
        ]
        for attempt in attempts {
            let error = await #expect(throws: LockError.self) { try await attempt() }
            #expect(error?.code == .invalidName)
        }
    }

    @Test func textThatIsNoNameIsRefused() async {
        let texts = ["a", "b", String()]
        let error = await #expect(throws: LockError.self) {
            try await locks.withLocks(texts) { _ in Self.ran() }
        }
        #expect(error?.code == .invalidName)
    }

    @Test func leasesAreFoundByName() async throws {
        let id = 42
        try await locks.withLocks(["customer/\(id)", "stock"]) { leases in
            #expect(leases.all.map(\.name) == ["customer/42", "stock"])
            #expect(leases["stock"]?.name == "stock" && leases["customer/\(id)"]?.name == "customer/42")
            #expect(leases["other"] == nil && leases["\(id)"] == nil)
            #expect(leases.isValid && leases.lost == nil)
            try leases.check(atLeast: .seconds(1))
            let error = #expect(throws: LockError.self) { try leases.check(atLeast: .seconds(2000)) }
            #expect(error?.code == .leaseTooShort)
        }
    }

    /// Six seconds go to the first lock, so that the second has four: not ten again.
    @Test func oneDeadlineIsForAll() async throws {
        let (names, start): ([LockName], _) = (["a", "b"], clock.now)
        let second = try await others.acquire("b")
        let first = try await others.acquire("a")
        let waiting = Task { [locks, clock] in
            let error = await #expect(throws: LockError.self) {
                try await locks.withLocks(names, within: .seconds(10)) { _ in Self.ran() }
            }
            return (error, clock.now)
        }
        await eventually { broker.contenders(for: "a") == 2 }
        clock.advance(by: .seconds(6))
        try await first.release()
        await eventually { broker.contenders(for: "b") == 2 }
        clock.advance(by: .seconds(4) - .nanoseconds(1))
        await clock.settle()
        #expect(broker.contenders(for: "b") == 2)
        clock.advance(by: .nanoseconds(1))
        let (error, end) = await waiting.value
        #expect(error?.code == .timedOut && error?.message.contains("b") == true, "\(String(describing: error))")
        #expect(start.duration(to: end) == .seconds(10))
        #expect(broker.contenders(for: "a") == 0, "what was obtained is held")
        try await second.release()
    }

    @Test func aTimeThatIsOverIsRefusedAtTheFirst() async throws {
        for limit in [Duration.zero, .seconds(-1), Duration(attoseconds: .min)] {
            let held = try await others.acquire("a")
            let error = await #expect(throws: LockError.self) {
                try await locks.withLocks(["a", "b"], within: limit) { _ in Self.ran() }
            }
            #expect(error?.code == .timedOut)
            try await held.release()
        }
        for limit in [Duration.longest, Duration(attoseconds: .max)] {
            try await locks.withLocks(["a", "b"], within: limit) { _ in }
        }
    }

    /// The body has ended and the whole is released: what becomes of a part from then on overlaps with nothing.
    @Test func aLossBehindTheEndOfTheWholeIsNoLoss() async throws {
        let ended = Task { [locks] in
            try await locks.withLocks(["a", "b"]) { _ in locks.hold(.toBroker) }
        }
        // Its release is on its way to the broker when the session ends.
        await eventually { locks.inFlight(.toBroker) > 0 }
        locks.dropSession()
        locks.heal()
        try await ended.value
    }
}
