import MQLock
import MQLockTesting
import Testing

@Suite(.timeLimit(.minutes(1))) struct LeaseRecordTests {
    let clock = ManualClock()

    /// A proof of its own is a further upper bound, and ends one lease only.
    @Test func theOwnProofBoundsOneLease() throws {
        let session = ProofOfLife(until: clock.now.advanced(by: .seconds(10)), clock: clock)
        let own = ProofOfLife(until: clock.now.advanced(by: .seconds(2)), clock: clock)
        let other = LeaseRecord(name: "a", token: try #require(FencingToken(rawValue: 32)), owner: "o", proof: session)
        let record = LeaseRecord(
            name: "b", token: try #require(FencingToken(rawValue: 32)), owner: "o", proof: session, ownProof: own)
        let start = clock.now
        #expect(record.remaining == .seconds(2))
        #expect(own.extend(to: start.advanced(by: .seconds(20))))
        #expect(record.remaining == .seconds(10), "the session's proof is the other bound")
        #expect(record.validUntil == start.advanced(by: .seconds(10)))
        #expect(session.extend(to: start.advanced(by: .seconds(60))))
        #expect(record.validUntil == start.advanced(by: .seconds(20)))
        clock.advance(by: .seconds(20))
        #expect(!record.isValid && other.isValid)
        #expect(!own.extend(to: start.advanced(by: .seconds(60))), "nothing revives it")
        #expect(!record.isValid)
        #expect(record.endedAt == start.advanced(by: .seconds(20)))
        guard case .lost(let reason) = record.state else { throw LockError.cancelled("b") }
        #expect(reason.kind == .proofOverdue)
        #expect(reason.detail == LeaseRecord.queueIsSilent)
    }

    private enum Step: CaseIterable { case suspect, clear, lose, release, expire }

    /// Every sequence of up to five steps: the first end stands, and everybody is told the same.
    @Test func theFirstEndStands() async {
        let count = Step.allCases.count
        for number in 0..<(count * count * count * count * count) {
            var rest = number
            let steps = (0..<5).map { _ in
                defer { rest /= count }
                return Step.allCases[rest % count]
            }
            await check(steps)
        }
    }

    private func check(_ steps: [Step]) async {
        let clock = ManualClock()
        let record = LeaseRecord(clock: clock)
        let states = record.subscribe()
        let told = Locked<[LossReason]>([])
        record.onLoss { reason in told.withLock { $0.append(reason) } }
        var model = LeaseState.held
        for step in steps {
            switch step {
            case .suspect:
                #expect(record.setSuspect(true) == (model == .held))
                if model == .held { model = .suspect }
            case .clear:
                #expect(record.setSuspect(false) == (model == .suspect))
                if model == .suspect { model = .held }
            case .lose:
                #expect(record.lose(LossReason(.forced)) == !model.isFinal)
                if !model.isFinal { model = .lost(LossReason(.forced)) }
            case .release:
                let reason = record.beginRelease()
                if !model.isFinal { model = .released }
                if case .lost(let why) = model { #expect(reason == why) } else { #expect(reason == nil) }
            case .expire:
                clock.advance(by: .seconds(10))
                _ = record.isValid
                if !model.isFinal { model = .lost(LossReason(.proofOverdue)) }
            }
            #expect(record.state == model, "\(steps)")
            #expect(record.isValid == !model.isFinal, "\(steps)")
        }
        if case .lost(let reason) = model {
            #expect(told.withLock { $0 } == [reason])
        } else {
            #expect(told.withLock { $0 }.isEmpty)
        }
        guard model.isFinal else { return }
        var last: LeaseState?
        for await state in states { last = state }
        #expect(last == model)
        var late: [LeaseState] = []
        for await state in record.subscribe() { late.append(state) }
        #expect(late == [model])
    }

    @Test func everyIteratorSeesTheStatesInOrder() async {
        let record = LeaseRecord(clock: clock)
        let lease = Lease(record)
        let begun = Locked(0)
        await withTaskGroup(of: [LeaseState].self) { group in
            for _ in 0..<50 {
                group.addTask {
                    var seen: [LeaseState] = []
                    for await state in lease.states {
                        if seen.isEmpty { begun.withLock { $0 += 1 } }
                        seen.append(state)
                    }
                    return seen
                }
            }
            await eventually { begun.withLock { $0 } == 50 }
            record.setSuspect(true)
            record.lose(LossReason(.forced))
            for await seen in group { #expect(seen == [.held, .suspect, .lost(LossReason(.forced))]) }
        }
    }

    @Test func aCancelledReaderEndsAndTheOthersGoOn() async {
        let lease = Lease(LeaseRecord(clock: clock))
        let reader = Task { for await _ in lease.states {} }
        let other = Task {
            var last: LeaseState?
            for await state in lease.states { last = state }
            return last
        }
        reader.cancel()
        await reader.value
        lease.record.lose(LossReason(.forced))
        #expect(await other.value == .lost(LossReason(.forced)))
    }

    /// A deadlock was here: the cancelled task's lock and the record's, taken in both orders.
    @Test func cancellingReadersWhileTheStateChanges() async {
        let record = LeaseRecord(clock: clock)
        let lease = Lease(record)
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for index in 0..<20_000 {
                    record.setSuspect(index.isMultiple(of: 2))
                    if index.isMultiple(of: 16) { await Task.yield() }
                }
            }
            for _ in 0..<3 {
                group.addTask {
                    for _ in 0..<1000 {
                        let reader = Task { for await _ in lease.states {} }
                        await Task.yield()
                        reader.cancel()
                        await reader.value
                    }
                }
            }
        }
    }

    @Test func aHoldLimitEndsTheLeaseWithItsOwnReason() {
        let record = LeaseRecord(clock: clock, limit: .seconds(3))
        #expect(record.remaining == .seconds(3))
        let end = clock.now.advanced(by: .seconds(3))
        clock.advance(by: .seconds(4))
        #expect(record.state == .lost(LossReason(.holdLimit)))
        #expect(record.endedAt == end)
        #expect(record.heldFor == .seconds(3))
    }

    @Test func theCheckAsksForTheMargin() {
        let record = LeaseRecord(clock: clock)
        let lease = Lease(record)
        #expect(throws: Never.self) { try lease.check(atLeast: .seconds(10)) }
        let early = #expect(throws: LockError.self) { try lease.check(atLeast: .seconds(11)) }
        #expect(early?.code == .leaseTooShort)
        #expect(lease.isValid, "a check that asks for too much ends nothing")
        clock.advance(by: .seconds(10))
        #expect(throws: LockError.self) { try lease.check() }
        #expect(throws: LockError.self) { try lease.check(atLeast: .seconds(-1)) }
        #expect(record.state == .lost(LossReason(.proofOverdue)))
    }

    @Test func aReleasedLeaseIsNoLongerValid() {
        let record = LeaseRecord(clock: clock)
        #expect(record.beginRelease() == nil)
        #expect(!record.isValid && record.remaining == .zero)
        let error = #expect(throws: LockError.self) { try record.check(atLeast: .zero) }
        #expect(error?.code == .released && error?.lossReason == nil)
    }
}
