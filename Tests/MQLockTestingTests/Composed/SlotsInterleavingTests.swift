import Foundation
import MQLock
import MQLockTesting
import Testing

/// Waits for permits and for a read-write lock that are cancelled, time out, lose their session or their turn, with
/// everything that can be in flight at that moment: nothing may stay taken, nothing may be left to be released by chance,
/// and who does not give up is admitted.
@Suite(.timeLimit(.minutes(5))) struct SlotsInterleavingTests {
    enum Kind: CaseIterable, Sendable { case permit, read, write }

    private static let cases = 400

    @Test(arguments: Kind.allCases) func noInterleavingLeavesAnythingTaken(_ kind: Kind) async throws {
        let seed = ProcessInfo.processInfo.environment["MQLOCK_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)
        print("interleavings of \(kind): MQLOCK_SEED=\(seed)")
        var random = SeededGenerator(seed)
        let world = SlotsInterleaving(kind)
        var tally: [LockError.Code?: Int] = [:]
        for index in 0..<Self.cases {
            let (taken, outcome) = try await world.play(index, &random)
            try #require(taken.isEmpty, "\(taken) after interleaving \(index), MQLOCK_SEED=\(seed)")
            tally[outcome, default: 0] += 1
        }
        #expect(Set(tally.keys) == [nil, .cancelled, .timedOut], "MQLOCK_SEED=\(seed)")
        // Else the steps are off, and the test has tested nothing.
        #expect(tally.values.allSatisfy { $0 > Self.cases / 20 }, "\(tally), MQLOCK_SEED=\(seed)")
    }
}

private struct SlotsInterleaving {
    enum Step { case release, cancel, timeOut, dropSession, deleteTurnstile, holder, toBroker, toClient }

    let kind: SlotsInterleavingTests.Kind
    let clock = ManualClock()
    let broker: InMemoryBroker
    let holder: InMemoryLocks
    let waiter: InMemoryLocks
    let third: InMemoryLocks
    let leaks = LeakCounter()

    init(_ kind: SlotsInterleavingTests.Kind) {
        self.kind = kind
        broker = InMemoryBroker(clock: clock, sessionTimeout: .seconds(100_000))
        holder = InMemoryLocks(broker, observer: leaks)
        waiter = InMemoryLocks(broker, observer: leaks)
        third = InMemoryLocks(broker)
    }

    /// Takes what the lock consists of, so that who comes has to wait.
    private func hold(_ name: LockName) async throws -> [HeldBox] {
        switch kind {
        case .permit:
            let semaphore = try Semaphore(name, permits: 2, on: holder)
            return [
                HeldBox(try await semaphore.acquire().asLock()), HeldBox(try await semaphore.acquire().asLock()),
            ]
        case .read: return [HeldBox(try await ReadWriteLock(name, readers: 2, on: holder).acquireWrite())]
        case .write:
            let lock = try ReadWriteLock(name, readers: 2, on: holder)
            return [HeldBox(try await lock.acquireRead()), HeldBox(try await lock.acquireRead())]
        }
    }

    private func wait(_ name: LockName, within limit: Duration?) async throws {
        switch kind {
        case .permit: try await Semaphore(name, permits: 2, on: waiter).acquire(within: limit).release()
        case .read:
            try await ReadWriteLock(name, readers: 2, on: waiter).acquireRead(within: limit).release()
        case .write:
            try await ReadWriteLock(name, readers: 2, on: waiter).acquireWrite(within: limit).release()
        }
    }

    /// What stays taken or was dropped, and how the wait ended.
    func play(_ index: Int, _ random: inout SeededGenerator) async throws -> ([String], LockError.Code?) {
        let name = try LockName("interleaving \(index)")
        let parts = try ["turnstile", "0", "1"].map { try LockName("interleaving \(index)/\($0)") }
        try await waiter.acquire("warm up").release()
        var held = try await hold(name)
        holder.hold(.toBroker)
        waiter.hold(.toBroker)
        waiter.hold(.toClient)
        let end = [nil, Step.cancel, .timeOut].randomElement(using: &random) ?? nil
        let waiting = Task { try await wait(name, within: end == .timeOut ? .seconds(1) : nil) }
        while waiter.inFlight(.toBroker) == 0 { await Task.yield() }
        var steps = held.map { _ in Step.release } + [end].compactMap { $0 }
        for _ in 0..<Int.random(in: 4...40, using: &random) {
            steps.append([.holder, .toBroker, .toClient].randomElement(using: &random) ?? .toBroker)
        }
        if Int.random(in: 0..<4, using: &random) == 0 {
            steps.append(Bool.random(using: &random) ? .dropSession : .deleteTurnstile)
        }
        var releases: [Task<Void, any Error>] = []
        for step in steps.shuffled(using: &random) {
            switch step {
            case .release: releases.append(Task { [box = held.removeLast()] in try await box.release() })
            case .cancel: waiting.cancel()
            case .timeOut: clock.advance(by: .seconds(1))
            case .dropSession: waiter.dropSession()
            case .deleteTurnstile: if kind != .read { broker.deleteQueue(of: parts[0]) }
            case .holder: holder.deliverNext(.toBroker)
            case .toBroker: waiter.deliverNext(.toBroker)
            case .toClient: waiter.deliverNext(.toClient)
            }
            await clock.settle(turns: Int.random(in: 0...12, using: &random))
        }
        holder.heal()
        waiter.heal()
        for release in releases { try await release.value }
        var outcome: LockError.Code?
        do {
            try await waiting.value
        } catch let error as LockError {
            // Lost between its grant and its release, it was granted all the same.
            outcome = error.code == .lost ? nil : error.code
        }
        var taken: [String] = []
        for part in parts {
            guard let next = try await third.tryAcquire(part) else {
                taken.append("\(part) is taken")
                continue
            }
            try await next.release()
        }
        if leaks.count > 0 { taken.append("\(leaks.count) were dropped") }
        return (taken, outcome)
    }
}

/// Locks that were dropped instead of released.
private final class LeakCounter: LockObserver {
    private let leaks = Locked(0)

    var count: Int { leaks.withLock { $0 } }

    func observe(_ event: LockEvent) {
        if event.kind == .leaked { leaks.withLock { $0 += 1 } }
    }
}
