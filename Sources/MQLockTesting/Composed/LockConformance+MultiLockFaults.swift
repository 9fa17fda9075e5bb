import MQLock

// Several locks as one, while sessions, objects and providers break.
extension LockConformance {
    private struct BodyError: Error {}

    var multiLockFaultChecks: [Check] {
        [
            Check(.exclusion, "several locks, while sessions end") { [effort] bench in
                let endSession = try bench.need(bench.subject.faults.endSession, "end a session")
                let seats = try await bench.seats(3)
                let watch = HoldWatch(seats: seats.count, clock: bench.subject.clock)
                // Until some locks were lost, and no longer: a contender that is always interrupted never makes
                // progress.
                let losses: @Sendable () -> Int = { seats.map { $0.log.names(of: .lost).count }.reduce(0, +) }
                let crowd = Task { repeat { try await self.crowd(bench, seats, watch) } while losses() < effort.losses }
                let faults = Task {
                    var generator = SeededGenerator(effort.seed)
                    while losses() < effort.losses {
                        for _ in 0..<Int.random(in: 0...400, using: &generator) { await Task.yield() }
                        try await Task.sleep(for: .milliseconds(Int.random(in: 0...20, using: &generator)))
                        try await endSession(seats[Int.random(in: 0..<3, using: &generator)].provider)
                    }
                }
                defer { for task in [crowd, faults] { task.cancel() } }
                try await bench.passing(
                    "contenders whose sessions end, seed \(effort.seed)", upTo: bench.subject.handOverLimit * 40
                ) { try await crowd.value }
                try watch.check(losses: true)
            },
            Check(.waitersSurvive, "one of several is lost while the next is waited for") { bench in
                let endSession = try bench.need(bench.subject.faults.endSession, "end a session")
                let seats = try await bench.seats(2)
                let names = MultiLock(bench.names(2), on: seats[0].provider).names
                let holder = seats[0].acquire(names[1])
                _ = try await bench.granted(holder, "the second one for another")
                let waiter = MultiContender(seats[1].provider, names)
                _ = try await bench.within("the first one") { [log = seats[1].log] in
                    await log.events.first { $0.kind == .granted && $0.name == names[0] }
                }
                try await endSession(seats[1].provider)
                _ = try await bench.passing("the loss of the first one", upTo: bench.subject.handOverLimit) {
                    [log = seats[1].log] in await log.events.first { $0.kind == .lost && $0.name == names[0] }
                }
                // Not before the second one comes, but at once: until then any contender could hold it.
                _ = try await bench.passing("the first one again", upTo: bench.subject.handOverLimit * 3) {
                    [log = seats[1].log] in
                    await log.events.first { _ in log.names(of: .granted).count { $0 == names[0] } == 2 }
                }
                try await bench.release(holder)
                let leases = try await bench.passing("both", upTo: bench.subject.handOverLimit * 3) {
                    try await waiter.leases()
                }
                try bench.require(leases.isValid && leases.lost == nil, "granted, and \(leases.lost as Any) is lost")
                try bench.require(
                    leases.all.allSatisfy(\.isValid), "granted: \(leases.all.map { "\($0.name): \($0.isValid)" })")
                try await bench.release(waiter)
                try await bench.requireFree(names, seats[0], "after a wait that survived")
            },
            Check(.lossIsReported, "the loss of one is the loss of all") { bench in
                let delete = try bench.need(bench.subject.faults.deleteObjects, "delete objects on the broker")
                let seats = try await bench.seats(2)
                let names = MultiLock(bench.names(3), on: seats[0].provider).names
                for lost in names {
                    try await lossOfOne(bench, seats, names, lost) { _ in try await delete(lost) }
                }
            },
            Check(.lossIsReported, "several locks, and the session ends") { bench in
                let endSession = try bench.need(bench.subject.faults.endSession, "end a session")
                let seats = try await bench.seats(2)
                try await lossOfOne(bench, seats, bench.names(3), nil, by: endSession)
            },
            Check(.bounds, "a provider that is shut down while one of several is waited for") { bench in
                let seats = try await bench.seats(2)
                let names = MultiLock(bench.names(2), on: seats[0].provider).names
                let holder = seats[0].acquire(names[1])
                _ = try await bench.granted(holder, "the second one for another")
                let waiter = MultiContender(seats[1].provider, names)
                _ = try await bench.within("the first one") { [log = seats[1].log] in
                    await log.events.first { $0.kind == .granted && $0.name == names[0] }
                }
                let closing = Task { await bench.subject.close(seats[1].provider) }
                let result = try await bench.passing("the end of the wait", upTo: bench.subject.handOverLimit) {
                    try await waiter.result()
                }
                guard case .failure(let error) = result, error.code == .shutDown else {
                    throw Unmet("the wait ended with \(result)")
                }
                try await bench.passing("the end of the provider", upTo: bench.subject.handOverLimit) {
                    await closing.value
                }
                try await bench.release(holder)
                try await bench.requireFree(names, seats[0], "after a provider was shut down")
            },
        ]
    }

    /// The holder of several locks is notified by the body's cancellation, the states and the error, with the name of
    /// the lost one; the others are held until the body has ended.
    private func lossOfOne(
        _ bench: Bench<Provider>, _ seats: [Bench<Provider>.Seat], _ names: [LockName], _ lost: LockName?,
        by fault: ConformanceFaults<Provider>.OnProvider
    ) async throws {
        let begun = Replay<MultiLease>()
        let cancelled = Replay<Void>()
        let mayEnd = Replay<Void>()
        let work = Task {
            try await seats[0].provider.withLocks(names) { leases in
                begun.send(leases)
                for await _ in AsyncStream<Never>.makeStream().stream {}
                cancelled.send(())
                // Its task is cancelled, so it cannot wait by itself.
                _ = await Task { await mayEnd.first { _ in true } }.value
                throw BodyError()
            }
        }
        defer { mayEnd.send(()) }
        let first = try await bench.within("the grant") { await begun.first { _ in true } }
        guard let leases = first else { throw Unmet("no leases") }
        let states = Replay<LeaseState>()
        let watching = Task { for await state in leases.states { states.send(state) } }
        try await fault(seats[0].provider)
        let limit = bench.subject.handOverLimit * 2
        _ = try await bench.passing("the body to be cancelled", upTo: limit) { await cancelled.first { _ in true } }
        try await bench.passing("the states to end", upTo: limit) { await watching.value }
        guard case .lost(let reason)? = states.soFar.last else { throw Unmet("the states were \(states.soFar)") }
        try bench.require(!leases.isValid && leases.remaining == .zero, "the whole is valid after the loss of one")
        if let lost {
            try bench.require(leases.lost == lost, "\(lost) was lost, and \(leases.lost as Any) is said to be")
            try bench.require(reason.detail.contains(lost.description), "the reason does not name \(lost): \(reason)")
            for name in names where name != lost {
                try bench.require(leases[name]?.isValid == true, "\(name) is not held until the body has ended")
                let other = seats[1].tryAcquire(name)
                let outcome = try await bench.within("a try") { try await other.result().get() }
                try bench.require(outcome == nil, "\(name) was free before the body had ended")
            }
        } else {
            try bench.require(leases.lost != nil, "nothing is said to be lost")
        }
        mayEnd.send(())
        let result = try await bench.passing("withLocks to end", upTo: limit) { await work.result }
        guard case .failure(let error as LockError) = result, error.code == .lost, error.lossReason == reason else {
            throw Unmet("withLocks ended with \(result), the reason was \(reason)")
        }
        try bench.require(error.underlying is BodyError, "the body's own error is not attached: \(error)")
        let next = MultiContender(seats[1].provider, names)
        let after = try await bench.passing("all of them after the loss", upTo: limit) { try await next.leases() }
        for lease in after.all {
            try bench.require(
                lease.fencingToken > leases[lease.name]?.fencingToken ?? lease.fencingToken,
                "the next token of \(lease.name) is not larger")
        }
        try await bench.release(next)
    }
}
