import Foundation
import MQLockTesting
import Testing

@testable import MQLock

/// A lease that rests on some of its parts.
@Suite(.timeLimit(.minutes(1))) struct MajorityLeaseTests {
    private let clock = ManualClock()

    private func token(_ number: UInt64) -> FencingToken { FencingToken(rawValue: number)! }

    private func part(proven: Duration) -> LeaseRecord {
        LeaseRecord(
            name: "part", token: token(1), owner: "test",
            proof: ProofOfLife(until: clock.now.advanced(by: proven), clock: clock))
    }

    /// Any order of what can happen to the parts, against what has to come of it.
    @Test func itIsValidWhileAsManyAreAsAreNeeded() {
        let seed = ProcessInfo.processInfo.environment["MQLOCK_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)
        var random = SeededGenerator(seed)
        for _ in 0..<3000 {
            let count = Int.random(in: 1...5, using: &random)
            let needed = Int.random(in: 1...count, using: &random)
            let parts = (0..<count).map { _ in part(proven: .seconds(Int.random(in: 1...6, using: &random))) }
            let whole = LeaseRecord(needed, of: parts, name: "whole", token: token(7))
            var wasLost = false
            for _ in 0..<12 {
                let index = Int.random(in: 0..<count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: parts[index].lose(LossReason(.connectionClosed))
                case 1: parts[index].setSuspect(Bool.random(using: &random))
                case 2: parts[index].proof.extend(to: clock.now.advanced(by: .seconds(4)))
                default: clock.advance(by: .milliseconds(Int.random(in: 1...1500, using: &random)))
                }
                // What the whole says is looked at first: it must not need that somebody has looked at the parts.
                let (isValid, left, state) = (whole.isValid, whole.remaining, whole.state)
                let remaining = parts.map(\.remaining).sorted(by: >)
                let hasEnough = remaining[needed - 1] > .zero
                // Once lost it stays lost; the parts cannot come back either.
                #expect(isValid == hasEnough && !(wasLost && isValid), "MQLOCK_SEED=\(seed)")
                #expect(left == remaining[needed - 1], "MQLOCK_SEED=\(seed)")
                let sound = parts.count { $0.state == .held }
                switch state {
                case .held: #expect(hasEnough && sound >= needed, "MQLOCK_SEED=\(seed)")
                case .suspect: #expect(hasEnough && sound < needed, "MQLOCK_SEED=\(seed)")
                case .lost: #expect(!hasEnough, "MQLOCK_SEED=\(seed)")
                case .released: Issue.record("nobody has released it, MQLOCK_SEED=\(seed)")
                }
                wasLost = wasLost || !hasEnough
            }
        }
    }

    /// It is the loss that is one too many that it is lost by, whenever that is noticed.
    @Test func itIsLostWithThePartThatIsOneTooMany() {
        let parts = [2, 9, 5, 7, 3].map { part(proven: .seconds($0)) }
        let start = clock.now
        let whole = LeaseRecord(3, of: parts, name: "whole", token: token(7))
        parts[1].lose(LossReason(.queueDeleted))
        clock.advance(by: .seconds(8))
        #expect(!whole.isValid)
        // Lost at 0 s, 2 s, 3 s: the third is one too many.
        #expect(whole.endedAt == start.advanced(by: .seconds(3)))
        guard case .lost(let reason) = whole.state else {
            Issue.record("\(whole.state)")
            return
        }
        #expect(reason.kind == .proofOverdue)
    }
}
