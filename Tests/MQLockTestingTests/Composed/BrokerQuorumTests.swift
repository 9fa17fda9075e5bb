import MQLock
import MQLockTesting
import Testing

/// One lock on a majority of brokers in memory.
@Suite(.timeLimit(.minutes(5))) struct BrokerQuorumTests {
    private let stage = QuorumStage()

    // MARK: Construction

    @Test func twoBrokersAreNoQuorum() throws {
        let two = stage.brokers.prefix(2).map { InMemoryLocks($0) }
        let error = try #require(throws: LockError.self) { try BrokerQuorum(two) }
        #expect(error.code == .invalidConfiguration)
    }

    /// Of a kind that cannot be a member.
    private struct Unraisable: RaisingLocks {
        let base: InMemoryLocks

        var capabilities: LockCapabilities { base.capabilities }
        var isConnected: Bool { base.isConnected }
        var proofLength: Duration { base.proofLength }
        func checkRaising() throws(LockError) { throw LockError(.invalidConfiguration, "choose another mutex") }
        func raise(_ lease: Lease, above token: FencingToken) async throws(LockError) -> FencingToken {
            try await base.raise(lease, above: token)
        }
        func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
            try await base.acquire(name, within: limit)
        }
        func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? { try await base.tryAcquire(name) }
    }

    @Test func aMemberWhoseNumbersCannotBeRaisedIsRefused() throws {
        let sessions = stage.brokers.map { InMemoryLocks($0) }
        let error = try #require(throws: LockError.self) {
            try BrokerQuorum([sessions[0], Unraisable(base: sessions[1]), sessions[2]])
        }
        #expect(error.code == .invalidConfiguration)
    }

    // MARK: Tokens

    /// Members that have granted the lock's part so often.
    private func wear(_ counts: [Int]) async throws {
        for (broker, count) in zip(stage.brokers, counts) {
            let locks = InMemoryLocks(broker)
            for _ in 0..<count { try await locks.acquire("ledger/quorum/3").release() }
        }
    }

    /// The largest token of two members' own.
    private func plainMaximum(_ first: Int, _ second: Int) async throws -> UInt64 {
        var largest: UInt64 = 0
        for member in [first, second] {
            let held = try await InMemoryLocks(stage.brokers[member]).acquire("ledger/quorum/3")
            largest = max(largest, held.lease.fencingToken.rawValue & 0xFFFF_FFFF)
            try await held.release()
        }
        return largest
    }

    /// With 99 and 4 grants before, {100, 5} and then {6, 1}: the largest of a majority goes back.
    @Test func theLargestTokenOfAMajorityGoesBack() async throws {
        try await wear([99, 4, 0])
        #expect(try await plainMaximum(0, 1) == 100)
        #expect(try await plainMaximum(1, 2) == 6)
    }

    /// The same members in the same order, raised: and the second program's clock is an hour behind, so that it is of no help.
    private func tokensOverTwoMajorities(_ stage: QuorumStage) async throws -> (UInt64, UInt64) {
        let first = try stage.program(settling: .zero)
        let second = try stage.program(settling: .zero, ahead: .seconds(-3600))
        first.silence(2)
        second.silence(0)
        return (try await stage.token(first.quorum), try await stage.token(second.quorum))
    }

    @Test func tokensGrowFromMajorityToMajority() async throws {
        try await wear([99, 4, 0])
        let (first, second) = try await tokensOverTwoMajorities(stage)
        #expect(first < second)
    }

    @Test func aMemberThatForgetsWhatItWasRaisedToIsFound() async throws {
        let (first, second) = try await tokensOverTwoMajorities(QuorumStage(3, .raiseForgotten))
        #expect(first >= second)
    }

    /// The one member that two majorities have in common loses all that it had.
    @Test func tokensGrowOverALossOfDataByTheClock() async throws {
        let first = try stage.program()
        let second = try stage.program(ahead: .seconds(-5))
        first.silence(2)
        second.silence(0)
        let before = try await stage.token(first.quorum)
        stage.brokers[1].restartEmpty()
        #expect(try await stage.token(second.quorum) > before)
    }

    /// By the lease's own token everything has to be numbered that a later majority can grant.
    @Test func theTokenIsAboveThoseOfItsMembers() async throws {
        let program = try stage.program(settling: .zero)
        let token = try await stage.token(program.quorum)
        for broker in stage.brokers {
            let next = try await InMemoryLocks(broker).acquire("ledger/quorum/3")
            #expect(next.lease.fencingToken.rawValue > token)
            try await next.release()
        }
    }

    // MARK: Settling

    @Test func aSessionCountsWhenItHasStoodForAsLongAsALeaseCan() async throws {
        let program = try stage.program()
        let start = stage.clock.now
        _ = try await stage.token(program.quorum)
        let waited = start.duration(to: stage.clock.now)
        #expect(waited >= program.quorum.settling)
        #expect(waited < program.quorum.settling + .seconds(2))
        let again = stage.clock.now
        _ = try await stage.token(program.quorum)
        #expect(again.duration(to: stage.clock.now) < .seconds(1))
    }

    @Test func aTryBeforeThatSaysWhy() async throws {
        let program = try stage.program()
        let error = try #require(
            await #expect(throws: LockError.self) {
                try await stage.passing { _ = try await program.quorum.tryAcquire("ledger") }
            })
        #expect(error.code == .unreachable)
        #expect(stage.brokers.allSatisfy { $0.contenders(for: "ledger/quorum/3") == 0 })
    }

    /// A frozen holder believes in its lease for as long as it was proven, whatever its brokers have become.
    private func overlap(settling: Duration?) async throws -> Bool {
        let holder = try stage.program(settling: .zero)
        let other = try stage.program(settling: settling)
        _ = try await stage.token(other.quorum)
        let held = try await stage.passing { KeptForTest(try await holder.quorum.acquire("ledger")) }
        for session in holder.sessions { session.pause() }
        for broker in stage.brokers { broker.restartEmpty() }
        _ = try await stage.token(other.quorum)
        let overlaps = held.lease.isValid
        for session in holder.sessions { session.resume() }
        try? await held.release()
        return overlaps
    }

    @Test func brokersThatForgetEverythingDoNotMakeTwoLeases() async throws {
        #expect(try await !overlap(settling: nil))
    }

    @Test func withoutSettlingTheyDo() async throws {
        #expect(try await overlap(settling: .zero))
    }

    // MARK: Members that fail

    @Test func aSilentMemberDelaysAGrantByNoMoreThanThePatience() async throws {
        for silent in 0..<3 {
            let stage = QuorumStage()
            let program = try stage.program(settling: .zero)
            program.sessions[silent].silence()
            let start = stage.clock.now
            _ = try await stage.token(program.quorum)
            // The gate's, the others', and each release's.
            #expect(start.duration(to: stage.clock.now) < .seconds(3), "member \(silent)")
            let again = stage.clock.now
            _ = try await stage.token(program.quorum)
            #expect(again.duration(to: stage.clock.now) < .seconds(1), "member \(silent), known to be silent")
        }
    }

    @Test func withoutAMajorityAWaitEndsInTimeAndATrySaysWhy() async throws {
        let program = try stage.program(settling: .zero)
        program.silence(0, 2)
        let error = try #require(
            await #expect(throws: LockError.self) {
                try await stage.passing { _ = try await program.quorum.acquire("ledger", within: .seconds(5)) }
            })
        #expect(error.code == .timedOut)
        let tried = try #require(
            await #expect(throws: LockError.self) {
                try await stage.passing { _ = try await program.quorum.tryAcquire("ledger") }
            })
        #expect(tried.code == .unreachable)
        program.heal(0, 2)
        // Whoever answers late is released then.
        let other = try stage.program(settling: .zero)
        _ = try await stage.token(other.quorum)
    }

    @Test func aLeaseOutlivesTheLossOfOneOfThreeAndNoMore() async throws {
        let program = try stage.program(settling: .zero)
        let held = try await stage.passing { KeptForTest(try await program.quorum.acquire("ledger")) }
        program.sessions[1].dropSession()
        #expect(held.lease.isValid)
        #expect(held.lease.record.state == .held)
        program.sessions[0].dropSession()
        #expect(!held.lease.isValid)
        guard case .lost(let reason) = held.lease.record.state else {
            Issue.record("\(held.lease.record.state)")
            return
        }
        #expect(reason.kind == .connectionClosed)
        let error = try await stage.passing { await held.error() }
        #expect(error?.code == .lost)
        // What was left is given back with it.
        #expect(stage.brokers.allSatisfy { $0.contenders(for: "ledger/quorum/3") == 0 })
    }

    @Test func aLeaseStandsAsLongAsItsMajorityByTheClock() async throws {
        let program = try stage.program(settling: .zero)
        let held = try await stage.passing { KeptForTest(try await program.quorum.acquire("ledger")) }
        for session in program.sessions { session.pause() }
        let left = held.lease.remaining
        #expect(left > .zero && left <= program.sessions[0].proofLength)
        stage.clock.advance(by: left - .milliseconds(1))
        #expect(held.lease.isValid)
        stage.clock.advance(by: .milliseconds(1))
        #expect(!held.lease.isValid)
        for session in program.sessions { session.resume() }
        #expect(!held.lease.isValid)
    }

    @Test func aLeaseIsSuspectWhenNoMajorityIsBeyondSuspicion() async throws {
        let program = try stage.program(settling: .zero)
        let held = try await stage.passing { KeptForTest(try await program.quorum.acquire("ledger")) }
        program.silence(0)
        stage.clock.advance(by: .seconds(6))
        #expect(held.lease.record.state == .held)
        program.silence(1)
        stage.clock.advance(by: .seconds(6))
        #expect(held.lease.record.state == .suspect)
        program.heal(1)
        await stage.clock.settle()
        stage.clock.advance(by: .seconds(3))
        #expect(held.lease.record.state == .held)
        try await stage.passing { try await held.release() }
    }

    // MARK: Contention

    /// Two that each hold a part of what the other one wants: they differ in which member is the first that answers.
    @Test func contendersThatBeginAtDifferentMembersDoNotBlockEachOther() async throws {
        let programs = [try stage.program(settling: .zero), try stage.program(settling: .zero)]
        programs[1].silence(0)
        _ = try await stage.token(programs[1].quorum)
        programs[1].heal(0)
        for _ in 0..<20 {
            try await stage.passing {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for program in programs {
                        group.addTask { try await program.quorum.acquire("ledger", within: .seconds(60)).release() }
                    }
                    try await group.waitForAll()
                }
            }
        }
    }

    @Test func aHolderOfAMinorityStandsInNobodysWayForLong() async throws {
        let cutOff = try stage.program(settling: .zero)
        let other = try stage.program(settling: .zero)
        cutOff.silence(1, 2)
        let waiting = Task { try await cutOff.quorum.acquire("ledger", within: .seconds(30)).release() }
        _ = try await stage.token(other.quorum)
        cutOff.heal(1, 2)
        try await stage.passing { try await waiting.value }
    }
}

/// A held lock for a closure that escapes.
final class KeptForTest: Sendable {
    let lease: Lease
    private let box: HeldBox

    init(_ held: consuming HeldLock) {
        lease = held.lease
        box = HeldBox(held)
    }

    func release() async throws { try await box.release() }

    func error() async -> LockError? {
        do {
            try await box.release()
            return nil
        } catch {
            return error as? LockError
        }
    }
}
