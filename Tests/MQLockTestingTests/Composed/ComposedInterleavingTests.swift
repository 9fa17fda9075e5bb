import Foundation
import MQLock
import MQLockTesting
import Testing

/// A contender for two locks that gives up or loses its session, with everything that can be in flight at that moment.
///
/// Each case is a generated order of steps: a message of one client delivered, the holders' releases, the end of the
/// contender's session, the contender's end.
@Suite(.timeLimit(.minutes(5))) struct ComposedInterleavingTests {
    private static let cases = 5000

    private static var seed: UInt64 {
        ProcessInfo.processInfo.environment["MQLOCK_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)
    }

    @Test func noInterleavingLeavesALockTaken() async throws {
        let seed = Self.seed
        print("interleavings of several locks: MQLOCK_SEED=\(seed)")
        var random = SeededGenerator(seed)
        var world = TwoLocks()
        var tally: [String: Int] = [:]
        for index in 0..<Self.cases {
            // A broker never forgets a name.
            if index % 100 == 0 { world = TwoLocks() }
            let outcome = try await world.outcome(of: index, &random)
            tally[outcome, default: 0] += 1
            if outcome.hasPrefix("leak") {
                Issue.record("a lock stayed taken after interleaving \(index): \(outcome), MQLOCK_SEED=\(seed)")
                return
            }
        }
        print("interleavings of several locks: \(tally)")
        // Else the steps miss what they are for.
        for outcome in ["granted", "cancelled", "timedOut", "not free"] {
            #expect(tally[outcome, default: 0] > Self.cases / 100, "\(tally), MQLOCK_SEED=\(seed)")
        }
    }
}

private struct TwoLocks {
    enum Step { case release(Int), giveUp, dropSession, holderToBroker, holderToClient, waiterToBroker, waiterToClient }
    enum Kind: CaseIterable { case forever, timed, try_ }

    let clock = ManualClock()
    let broker: InMemoryBroker
    let holder: InMemoryLocks
    let waiter: InMemoryLocks
    let third: InMemoryLocks

    init() {
        broker = InMemoryBroker(clock: clock, sessionTimeout: .seconds(1000))
        (holder, waiter, third) = (InMemoryLocks(broker), InMemoryLocks(broker), InMemoryLocks(broker))
    }

    func outcome(of index: Int, _ random: inout SeededGenerator) async throws -> String {
        let names = [try LockName("a \(index)"), try LockName("b \(index)")]
        // Sessions are up, and every later message waits for its step.
        try await waiter.acquire("warm up").release()
        let held = try await holders(of: names, &random)
        waiter.hold(.toBroker)
        waiter.hold(.toClient)
        holder.hold(.toBroker)
        let kind = Kind.allCases.randomElement(using: &random) ?? .forever
        let waiting = Task { [waiter] in try await Self.wait(MultiLock(names.shuffled(), on: waiter), kind) }
        while waiter.inFlight(.toBroker) == 0 { await Task.yield() }
        var steps: [Step] = held.indices.map { .release($0) } + [.giveUp]
        if Int.random(in: 0..<3, using: &random) == 0 { steps.append(.dropSession) }
        for _ in 0..<Int.random(in: 2...14, using: &random) {
            steps.append(
                [.holderToBroker, .holderToClient, .waiterToBroker, .waiterToBroker, .waiterToClient, .waiterToClient]
                    .randomElement(using: &random) ?? .waiterToClient)
        }
        for step in steps.shuffled(using: &random) {
            switch step {
            case .release(let index): held[index].go.yield()
            case .giveUp:
                switch kind {
                case .forever: waiting.cancel()
                case .timed: clock.advance(by: .seconds(1))
                case .try_: break
                }
            case .dropSession: waiter.dropSession()
            case .holderToBroker: holder.deliverNext(.toBroker)
            case .holderToClient: holder.deliverNext(.toClient)
            case .waiterToBroker: waiter.deliverNext(.toBroker)
            case .waiterToClient: waiter.deliverNext(.toClient)
            }
            // The contender's next step, and what it sends, come in time or after the next ones.
            for _ in 0..<Int.random(in: 0...6, using: &random) { await Task.yield() }
        }
        holder.heal()
        waiter.heal()
        for held in held { try await held.releasing.value }
        // Whoever has lost its session connects again after a while.
        let moving = Task { [clock] in
            while !Task.isCancelled {
                clock.advance(by: .seconds(20))
                await clock.settle()
            }
        }
        let outcome = await waiting.result
        moving.cancel()
        await moving.value
        for name in names {
            guard let next = try await third.tryAcquire(name) else { return "leak: \(name), \(kind), \(outcome)" }
            try await next.release()
        }
        switch outcome {
        case .success(true): return "granted"
        case .success(false): return "not free"
        case .failure(let error as LockError): return error.code.description
        case .failure(let error): throw error
        }
    }

    private static func wait(_ lock: MultiLock, _ kind: Kind) async throws -> Bool {
        do {
            switch kind {
            case .forever: try await lock.withLock { _ in }
            case .timed: try await lock.withLock(within: .seconds(1)) { _ in }
            case .try_: return try await attempt(lock)
            }
        } catch let error as LockError where error.code == .lost {
            // By a session that ended, which is not the matter here.
        }
        return true
    }

    private static func attempt(_ lock: MultiLock) async throws -> Bool {
        guard let held = try await lock.tryAcquire() else { return false }
        try await held.release()
        return true
    }

    private struct Holder {
        let go: AsyncStream<Void>.Continuation
        let releasing: Task<Void, any Error>
    }

    /// Holders of some of the names, each of which releases when it is told to.
    private func holders(of names: [LockName], _ random: inout SeededGenerator) async throws -> [Holder] {
        var holders: [Holder] = []
        for name in names where Int.random(in: 0..<3, using: &random) > 0 {
            let (grants, granted) = AsyncStream.makeStream(of: Void.self)
            let (release, go) = AsyncStream.makeStream(of: Void.self)
            let releasing = Task { [holder] in
                let held = try await holder.acquire(name)
                granted.finish()
                for await _ in release { break }
                return try await held.release()
            }
            for await _ in grants {}
            holders.append(Holder(go: go, releasing: releasing))
        }
        return holders
    }
}
