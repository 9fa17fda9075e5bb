import MQLock

// Rules 1, 2 and 4: who holds, with which token, up to when.
extension LockConformance {
    var exclusionChecks: [Check] {
        [
            Check(.exclusion, "contending tasks of three processes") { [effort] bench in
                let name = bench.subject.makeName()
                let seats = try await bench.seats(3)
                let recorders = seats.indices.map {
                    HistoryRecorder(process: "process \($0)", clock: bench.subject.clock)
                }
                let inside = Locked(0)
                let overlaps = Locked(0)
                try await bench.within("contending tasks") {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for (seat, recorder) in zip(seats, recorders) {
                            for task in 0..<3 {
                                group.addTask {
                                    for _ in 0..<effort.rounds {
                                        try await recorder.withLock(name, of: seat.provider, contender: "task \(task)")
                                        {
                                            lease in
                                            let others = inside.withLock { inside in
                                                defer { inside += 1 }
                                                return inside
                                            }
                                            for _ in 0..<3 { await Task.yield() }
                                            let isValid = lease.isValid
                                            inside.withLock { $0 -= 1 }
                                            if others > 0, isValid { overlaps.withLock { $0 += 1 } }
                                        }
                                    }
                                }
                            }
                        }
                        try await group.waitForAll()
                    }
                }
                let count = overlaps.withLock { $0 }
                try bench.require(count == 0, "\(count) holds began while another was valid")
                let verdict = HistoryChecker().check(recorders.flatMap(\.events))
                let broken = verdict.violations.filter { $0.kind == .overlap }
                try bench.require(broken.isEmpty, broken.first?.message ?? "")
            }
        ]
    }

    var tokenChecks: [Check] {
        [
            Check(.tokens, "over releases") { bench in
                let seats = try await bench.seats(2)
                try await growing(bench, seats) { _ in }
            },
            Check(.tokens, "over ended sessions") { bench in
                let endSession = try bench.need(bench.subject.faults.endSession, "end a session")
                let seats = try await bench.seats(2)
                try await growing(bench, seats) { _ in try await endSession(seats[0].provider) }
            },
            Check(.tokens, "over restarts of the broker") { bench in
                let restart = try bench.need(bench.subject.faults.restartBroker, "restart the broker")
                let seats = try await bench.seats(2)
                // Once while it is free and once while it is held.
                try await growing(bench, seats, rounds: 3) { _ in try await restart() }
            },
            Check(.tokens, "over a crash of the broker") { bench in
                let crash = try bench.need(bench.subject.faults.crashBroker, "crash the broker")
                let seats = try await bench.seats(2)
                guard seats[0].provider.capabilities.tokensSurviveBrokerCrash else {
                    throw NotTried("by its capabilities its tokens may go back when the broker crashes")
                }
                try await growing(bench, seats, rounds: 2) { _ in try await crash() }
            },
            Check(.tokens, "over deletion of the name's objects") { bench in
                let delete = try bench.need(bench.subject.faults.deleteObjects, "delete objects on the broker")
                let seats = try await bench.seats(2)
                try await growing(bench, seats) { try await delete($0) }
            },
        ]
    }

    /// Acquires and releases one name from two providers in turn, with something in between.
    private func growing(
        _ bench: Bench<Provider>, _ seats: [Bench<Provider>.Seat], rounds: Int = 6,
        _ between: (LockName) async throws -> Void
    ) async throws {
        let name = bench.subject.makeName()
        var last: FencingToken?
        for round in 0..<rounds {
            let contender = seats[round % seats.count].acquire(name)
            let token = try await bench.grantedInTime(contender, "grant \(round)").fencingToken
            if let last { try bench.require(token > last, "token \(token) was granted after \(last)") }
            last = token
            if round == rounds - 1 {
                try await bench.release(contender)
            } else if round % 2 == 0 {
                try await bench.release(contender)
                try await between(name)
            } else {
                try await between(name)
                contender.beginRelease()
                _ = try await bench.passing("a release", upTo: bench.subject.handOverLimit * 2, contender.ended)
            }
        }
    }

    var proofChecks: [Check] {
        [
            Check(.localFirst, "a silenced holder") { bench in
                let silence = try bench.need(bench.subject.faults.silence, "silence a session")
                try await overlap(bench) { try await silence($0) }
            },
            Check(.localFirst, "late answers extend nothing by themselves") { bench in
                let faults = bench.subject.faults
                let hold = try bench.need(faults.holdAnswers, "hold answers back")
                let pass = try bench.need(faults.passAnswers, "deliver answers that were held back")
                let holdRequests = try bench.need(faults.holdRequests, "hold requests back")
                try await overlap(bench) { provider in
                    // A renewal reaches the broker, its answer does not; then nothing reaches the broker any more, and
                    // the answer comes late. What it proves is as old as the request.
                    try await hold(provider)
                    try await bench.pass(bench.subject.handOverLimit * 2 / 5)
                    try await holdRequests(provider)
                    try await bench.pass(bench.subject.handOverLimit / 5)
                    try await pass(provider)
                }
            },
            Check(.localFirst, "a stopped process") { bench in
                let pause = try bench.need(bench.subject.faults.pause, "stop a process")
                let resume = try bench.need(bench.subject.faults.resume, "let a process go on")
                try await overlap(bench, afterGrant: resume) { try await pause($0) }
            },
        ]
    }

    /// A holder falls silent in some way; the next must not be granted before the holder's validity ends by its clock.
    private func overlap(
        _ bench: Bench<Provider>, afterGrant: (Provider) async throws -> Void = { _ in },
        _ fallSilent: (Provider) async throws -> Void
    ) async throws {
        let name = bench.subject.makeName()
        let seats = try await bench.seats(2)
        let holder = seats[0].acquire(name)
        let lease = try await bench.granted(holder, "the first grant")
        let waiter = try await bench.inLine(seats[1], name)
        try await fallSilent(seats[0].provider)
        // Nothing can extend it from now on. The remaining time is read first, so the sum errs to the early side by the
        // time that passes in between. That happens only in real time, where the margin is longer by far. A lease that
        // has run out meanwhile says when: a holder that gave up early may be succeeded early.
        let remaining = lease.remaining
        let validUntil = lease.record.endedAt ?? bench.subject.clock.now.after(remaining)
        let states = Task {
            var seen: [LeaseState] = []
            for await state in lease.states { seen.append(state) }
            return seen
        }
        _ = try await bench.grantedInTime(waiter, "the hand-over from a silent holder")
        try bench.require(!lease.isValid, "the silent holder's lease was valid after the next grant")
        let event = try await bench.within("the grant's event") {
            await seats[1].log.events.first { $0.kind == .granted && $0.name == name }
        }
        if let granted = event?.instant {
            let early = granted.duration(to: validUntil)
            try bench.require(
                early <= .zero, "granted \(early.readable) before the silent holder's lease ended by its clock")
        }
        try await afterGrant(seats[0].provider)
        let seen = try await bench.within("the silent holder to be notified") { await states.value }
        guard case .lost? = seen.last else { throw Unmet("the silent holder's states were \(seen)") }
        try await bench.release(waiter)
    }
}
