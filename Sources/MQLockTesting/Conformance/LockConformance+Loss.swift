import MQLock

// Rules 3, 6, 7 and 8: what a lost session does to holders and waiters.
extension LockConformance {
    private struct BodyError: Error {}

    var lossChecks: [Check] {
        [
            Check(.lossIsReported, "an ended session", waits: false) { bench in
                try await reports(bench, by: bench.need(bench.subject.faults.endSession, "end a session"))
            },
            Check(.lossIsReported, "a silenced session", waits: false) { bench in
                try await reports(bench, by: bench.need(bench.subject.faults.silence, "silence a session"))
            },
            Check(.lossIsReported, "deleted objects", waits: false) { bench in
                let delete = try bench.need(bench.subject.faults.deleteObjects, "delete objects on the broker")
                let name = bench.subject.makeName()
                try await reports(bench, name) { _ in try await delete(name) }
            },
        ]
    }

    private func reports(
        _ bench: Bench<Provider>, _ name: LockName? = nil, by fault: ConformanceFaults<Provider>.OnProvider
    ) async throws {
        let name = name ?? bench.subject.makeName()
        let seat = try await bench.seat()
        let leases = Replay<Lease>()
        let work = Task {
            try await seat.provider.withLock(name) { lease in
                leases.send(lease)
                // Ends by cancellation only; what follows is the body's own error.
                for await _ in AsyncStream<Never>.makeStream().stream {}
                throw BodyError()
            }
        }
        let first = try await bench.within("the grant") { await leases.first { _ in true } }
        guard let lease = first else { throw Unmet("withLock gave no lease") }
        let states = Replay<LeaseState>()
        let watching = Task { for await state in lease.states { states.send(state) } }
        let start = try await bench.within("the current state") { await states.first { _ in true } }
        try bench.require(start == .held, "the states began with \(states.soFar)")
        try await fault(seat.provider)
        let limit = bench.subject.handOverLimit * 2
        try await bench.passing("the states to tell of the loss", upTo: limit) { await watching.value }
        guard case .lost(let reason)? = states.soFar.last else { throw Unmet("the states were \(states.soFar)") }
        try bench.require(!lease.isValid && lease.remaining == .zero, "the lease is valid after its loss")
        let refusal = Result { () throws(LockError) in try lease.check() }
        guard case .failure(let error) = refusal, error.code == .lost, error.lossReason == reason else {
            throw Unmet("the check of a lost lease came to \(refusal)")
        }
        let result = try await bench.passing("withLock to end", upTo: limit) { await work.result }
        guard case .failure(let error as LockError) = result, error.code == .lost else {
            throw Unmet("withLock ended with \(result)")
        }
        try bench.require(error.lossReason == reason, "withLock reported another reason: \(error)")
        try bench.require(error.underlying is BodyError, "withLock did not attach the body's own error: \(error)")
    }

    var survivalChecks: [Check] {
        [
            Check(.waitersSurvive, "a waiter stands in line again") { bench in
                let endSession = try bench.need(bench.subject.faults.endSession, "end a session")
                let name = bench.subject.makeName()
                let seats = try await bench.seats(2)
                let holder = seats[0].acquire(name)
                _ = try await bench.granted(holder, "the first grant")
                let waiter = try await bench.inLine(seats[1], name)
                try await endSession(seats[1].provider)
                try await bench.release(holder)
                _ = try await bench.grantedInTime(waiter, "the waiter whose session was lost")
                try await bench.release(waiter)
            },
            Check(.waitersSurvive, "a holder does not hold again") { bench in
                let endSession = try bench.need(bench.subject.faults.endSession, "end a session")
                let name = bench.subject.makeName()
                let seats = try await bench.seats(2)
                let loser = seats[0].acquire(name)
                let lost = try await bench.granted(loser, "the first grant")
                try await endSession(seats[0].provider)
                let next = seats[1].acquire(name)
                let lease = try await bench.grantedInTime(next, "the successor of a lost holder")
                // Both ends notice a broken connection, the holder maybe milliseconds later.
                _ = try await bench.within("the loss of the first") {
                    for await state in lost.states where state.isFinal { break }
                }
                try bench.require(!lost.isValid, "the lost holder holds again")
                try bench.require(lease.isValid, "the successor's lease has ended")
                try await bench.release(next)
                // Free now, so a session that put its holder back would get it.
                let last = seats[1].acquire(name)
                _ = try await bench.granted(last, "a lock that is free")
                try bench.require(!lost.isValid, "the lost holder holds again")
                try await bench.release(last)
            },
        ]
    }

    var releaseChecks: [Check] {
        [
            Check(.ownedRelease, "a release after the loss touches nothing") { bench in
                let endSession = try bench.need(bench.subject.faults.endSession, "end a session")
                let name = bench.subject.makeName()
                let seats = try await bench.seats(3)
                let loser = seats[0].acquire(name)
                let lost = try await bench.granted(loser, "the first grant")
                let waiter = try await bench.inLine(seats[1], name)
                try await endSession(seats[0].provider)
                let lease = try await bench.grantedInTime(waiter, "the successor of a lost holder")
                // A release that is faster than the notice finds a lease that stands, and ends it in good order.
                try await bench.passing("the loss to be reported", upTo: bench.subject.handOverLimit) {
                    for await state in lost.states { if case .lost = state { return } }
                }
                loser.beginRelease()
                let error = try await bench.passing(
                    "the release after the loss", upTo: bench.subject.handOverLimit, loser.ended)
                try bench.require(
                    error?.code == .lost && error?.lossReason != nil,
                    "the release after the loss ended with \(error.map(String.init(describing:)) ?? "no error")")
                try bench.require(!lost.isValid && lease.isValid, "the successor's lease did not survive")
                let third = seats[2].tryAcquire(name)
                let outcome = try await bench.within("a try") { try await third.result().get() }
                try bench.require(outcome == nil, "the release after the loss freed the successor's lock")
                try await bench.release(waiter)
            },
            Check(.ownedRelease, "a dropped held lock is released and reported") { bench in
                let name = bench.subject.makeName()
                let seats = try await bench.seats(2)
                let dropper = seats[0].acquire(name)
                _ = try await bench.granted(dropper, "the first grant")
                let waiter = try await bench.inLine(seats[1], name)
                dropper.drop()
                _ = try await bench.granted(waiter, "the successor of a dropped lock")
                _ = try await bench.within("the leak's event") {
                    await seats[0].log.events.first { $0.kind == .leaked && $0.name == name }
                }
                try await bench.release(waiter)
            },
        ]
    }

    var ambiguityChecks: [Check] {
        [
            Check(.ambiguityIsSettled, "a release that is never answered") { bench in
                let dropRequest = try bench.need(bench.subject.faults.dropNextRequest, "lose a request")
                let name = bench.subject.makeName()
                let seats = try await bench.seats(2)
                let holder = seats[0].acquire(name)
                _ = try await bench.granted(holder, "the first grant")
                let waiter = try await bench.inLine(seats[1], name)
                try await dropRequest(seats[0].provider)
                holder.beginRelease()
                _ = try await bench.grantedInTime(waiter, "the lock whose release was lost on its way")
                try await bench.release(waiter)
                let again = seats[0].acquire(bench.subject.makeName())
                _ = try await bench.grantedInTime(again, "a provider whose session was dropped")
                try await bench.release(again)
            }
        ]
    }
}
