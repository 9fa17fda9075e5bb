import Foundation
import MQLockTesting
import Testing

@testable import MQLock

@Suite(.timeLimit(.minutes(1))) struct CombinedLeaseTests {
    private let clock = ManualClock()

    private func token(_ number: UInt64) -> FencingToken { FencingToken(rawValue: number)! }

    /// A part with a session of its own.
    private func part(_ name: LockName, proven: Duration = .seconds(10), limit: Duration? = nil) -> LeaseRecord {
        let now = clock.now
        return LeaseRecord(
            name: name, token: token(1), owner: "test",
            proof: ProofOfLife(until: now.advanced(by: proven), clock: clock), limit: limit.map { now.advanced(by: $0) }
        )
    }

    private func whole(_ parts: [LeaseRecord]) -> LeaseRecord {
        LeaseRecord(combining: parts, name: "whole", token: token(7))
    }

    @Test func itHasTheNameAndTokenThatItIsGivenAndStandsAsLongAsItsShortestPart() {
        let parts = [part("a", proven: .seconds(9)), part("b", proven: .seconds(4)), part("c", limit: .seconds(6))]
        let whole = whole(parts)
        #expect(whole.name == "whole" && whole.token == token(7) && whole.owner == "test")
        #expect(whole.remaining == .seconds(4) && whole.validUntil == parts[1].validUntil)
        parts[1].proof.extend(to: clock.now.advanced(by: .seconds(20)))
        #expect(whole.remaining == .seconds(6) && whole.validUntil == parts[2].validUntil)
    }

    /// Nobody drives what has expired: it is seen by whoever looks, whatever it is that is looked at.
    @Test(arguments: 0..<3) func anExpiredPartEndsItByTheClockAlone(_ look: Int) {
        let start = clock.now
        let whole = whole([part("a"), part("b", limit: .seconds(4))])
        clock.advance(by: .seconds(5))
        let lost = LeaseState.lost(LossReason(.holdLimit, "b"))
        switch look {
        case 0: #expect(!whole.isValid)
        case 1: #expect(whole.state == lost)
        default: #expect(whole.beginRelease() == LossReason(.holdLimit, "b"))
        }
        #expect(whole.state == lost && whole.endedAt == start.advanced(by: .seconds(4)))
    }

    @Test func itIsSuspectWhileAPartIs() async {
        let parts = [part("a"), part("b")]
        parts[1].setSuspect(true)
        let whole = whole(parts)
        #expect(whole.state == .suspect)
        var states = Lease(whole).states.makeAsyncIterator()
        #expect(await states.next() == .suspect)
        parts[0].setSuspect(true)
        parts[1].setSuspect(false)
        #expect(whole.state == .suspect)
        parts[0].setSuspect(false)
        #expect(await states.next() == .held)
    }

    @Test func aPartThatWasLostBeforeMakesItLostFromTheBeginning() {
        let parts = [part("a"), part("b")]
        parts[1].lose(LossReason(.queueDeleted))
        let whole = whole(parts)
        #expect(!whole.isValid && whole.state == .lost(LossReason(.queueDeleted, "b")))
    }

    /// Any order of what can happen to the parts, against what has to come of it.
    @Test func itIsValidWhileAllAreAndLostWithTheFirst() {
        let seed = ProcessInfo.processInfo.environment["MQLOCK_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)
        var random = SeededGenerator(seed)
        for _ in 0..<3000 {
            let names: [LockName] = ["a", "b", "c"]
            let parts = names.map { part($0, proven: .seconds(Int.random(in: 1...6, using: &random))) }
            let whole = whole(parts)
            var first: LossReason?
            for _ in 0..<8 {
                let index = Int.random(in: 0..<3, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0:
                    let reason = LossReason(.forced, "by an operator")
                    if parts[index].lose(reason), first == nil {
                        first = LossReason(.forced, "\(names[index]): by an operator")
                    }
                case 1: parts[index].setSuspect(Bool.random(using: &random))
                case 2: parts[index].proof.extend(to: clock.now.advanced(by: .seconds(3)))
                default:
                    let next = parts.filter(\.isValid).min { $0.proof.endsAt < $1.proof.endsAt }
                    let step = Duration.seconds(Int.random(in: 1...2, using: &random))
                    if first == nil, let next, next.proof.endsAt <= clock.now.advanced(by: step) {
                        first = LossReason(.proofOverdue, next.name.string)
                    }
                    clock.advance(by: step)
                }
                let shortest = parts.map(\.remaining).min() ?? .zero
                #expect(whole.remaining == shortest, "MQLOCK_SEED=\(seed)")
                let expected: LeaseState =
                    if let first {
                        .lost(first)
                    } else if parts.contains(where: { $0.state == .suspect }) {
                        .suspect
                    } else {
                        .held
                    }
                #expect(whole.state == expected, "MQLOCK_SEED=\(seed)")
                if let ended = whole.endedAt {
                    #expect(ended == parts.compactMap(\.endedAt).min(), "MQLOCK_SEED=\(seed)")
                }
            }
        }
    }
}

/// The hold around such a lease.
extension CombinedLeaseTests {
    private struct Stage {
        let broker: InMemoryBroker
        let locks: [InMemoryLocks]
        let events = Events()
        let names: [LockName] = ["a", "b"]

        init(_ clock: ManualClock) {
            broker = InMemoryBroker(clock: clock)
            locks = [InMemoryLocks(broker, observer: events), InMemoryLocks(broker, observer: events)]
        }

        /// Each part from a session of its own.
        func held() async throws -> HeldLock {
            var parts: [KeptLock] = []
            for (name, locks) in zip(names, locks) { parts.append(KeptLock(try await locks.acquire(name))) }
            return HeldLock(combining: parts.map(\.lease), name: "whole", token: parts[0].lease.fencingToken) {
                [parts] ending in
                for part in parts.reversed() { await part.end(ending) }
            }
        }

        var areFree: Bool { names.allSatisfy { broker.contenders(for: $0) == 0 } }
    }

    @Test func theReleaseOfTheWholeIsThatOfItsParts() async throws {
        let stage = Stage(clock)
        let held = try await stage.held()
        #expect(held.lease.isValid && !stage.areFree)
        let lease = held.lease
        try await held.release()
        #expect(lease.record.state == .released && stage.areFree)
    }

    @Test func afterTheLossOfOneTheOthersAreReleasedWithTheWhole() async throws {
        let stage = Stage(clock)
        let held = try await stage.held()
        var states = held.lease.states.makeAsyncIterator()
        #expect(await states.next() == .held)
        stage.locks[0].dropSession()
        let reason = LossReason(.connectionClosed, "a: dropped by the test")
        #expect(await states.next() == .lost(reason))
        #expect(await states.next() == nil)
        #expect(!stage.areFree)
        #expect(await code(ofReleasing: held) == .lost)
        #expect(stage.areFree)
    }

    @Test func aDroppedWholeIsALeakOfEachPart() async throws {
        let stage = Stage(clock)
        do { _ = try await stage.held() }
        await eventually { stage.areFree }
        await eventually { stage.events.all.filter { $0.kind == .leaked }.count == 2 }
    }
}
