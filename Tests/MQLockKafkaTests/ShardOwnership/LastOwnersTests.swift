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
}
