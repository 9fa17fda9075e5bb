import MQLock
import Testing

@testable import MQLockKafka

@Suite struct LastOwnersTests {
    @Test func whatWasReadIsForgottenInTimeAndAtARebalance() {
        let owners = LastOwners()
        let now = ContinuousClock.now
        #expect(owners.find(1, now: now) == nil)
        let first = owners.rebalance
        owners.remember(1, "one", first, now: now)
        owners.remember(2, nil, first, now: now)
        #expect(owners.find(1, now: now)?.owner == "one")
        // That nobody was found is remembered too: it is not asked for over and over.
        #expect(owners.find(2, now: now) != nil && owners.find(2, now: now)?.owner == nil)
        #expect(owners.find(1, now: now + LastOwners.lifetime) == nil)
        owners.forget()
        #expect(owners.find(1, now: now) == nil)
        // An answer from before the rebalance.
        owners.remember(1, "one", first, now: now)
        #expect(owners.find(1, now: now) == nil)
        owners.remember(1, "two", owners.rebalance, now: now)
        #expect(owners.find(1, now: now)?.owner == "two")
    }

    /// Claims are made by the thread that reads: a thousand who ask at once must not keep it from them.
    @Test func howeverManyAskOneReads() {
        let owners = LastOwners()
        let answers = Locked([String?]())
        var readings = 0
        for shard in [Int32(1), 2] {
            for _ in 0..<1000 where owners.wait(for: shard, { answer in answers.withLock { $0.append(answer) } }) {
                readings += 1
            }
        }
        #expect(readings == 2 && answers.withLock { $0.isEmpty })
        owners.answer(1, "one")
        owners.answer(1, "nobody waits any more")
        #expect(answers.withLock { $0 } == Array(repeating: "one", count: 1000))
        owners.answer(2, nil)
        #expect(answers.withLock { $0.count } == 2000)
        // Whoever comes later has it read anew.
        #expect(owners.wait(for: 1) { _ in })
    }
}
