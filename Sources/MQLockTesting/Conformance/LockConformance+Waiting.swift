import MQLock

// Rules 5, 9, 10, 11 and 12: standing in line, and leaving the line.
extension LockConformance {
    var cancellationChecks: [Check] {
        [
            Check(.cancellationLeaksNothing, "a grant in flight to a cancelled wait") { bench in
                try await lateGrant(bench) { $0.cancel() }
            },
            Check(.cancellationLeaksNothing, "generated interleavings") { [effort] bench in
                var generator = SeededGenerator(effort.seed)
                let seats = try await bench.seats(3)
                // A wait of milliseconds is about the lock, not about the first connection.
                for seat in seats {
                    let first = seat.acquire(bench.subject.makeName())
                    _ = try await bench.granted(first, "a first grant")
                    try await bench.release(first)
                }
                let name = bench.subject.makeName()
                // A wait that ends before a provider has ever reached its broker gets that error, and not that it timed
                // out.
                for seat in seats {
                    let first = seat.acquire(name)
                    _ = try await bench.granted(first, "the first grant of a provider")
                    try await bench.release(first)
                }
                for index in 0..<effort.interleavings {
                    let holder = seats[0].acquire(name)
                    _ = try await bench.granted(holder, "the holder of interleaving \(index), seed \(effort.seed)")
                    let timesOut = Bool.random(using: &generator)
                    let limit = Duration.microseconds(Int.random(in: 0...3000, using: &generator))
                    let waiter = seats[1].acquire(name, within: timesOut ? limit : nil)
                    for _ in 0..<Int.random(in: 0...30, using: &generator) { await Task.yield() }
                    let releasesFirst = Bool.random(using: &generator)
                    if releasesFirst { holder.beginRelease() }
                    for _ in 0..<Int.random(in: 0...10, using: &generator) { await Task.yield() }
                    if timesOut { await bench.subject.pass?(limit) } else { waiter.cancel() }
                    if !releasesFirst { holder.beginRelease() }
                    _ = try await bench.within(
                        "the release of interleaving \(index), seed \(effort.seed)", holder.ended)
                    let result = try await bench.within("the wait of interleaving \(index), seed \(effort.seed)") {
                        try await waiter.result()
                    }
                    switch result {
                    case .success: try await bench.release(waiter)
                    case .failure(let error):
                        try bench.require(
                            error.code == (timesOut ? .timedOut : .cancelled), "a wait that was given up threw \(error)"
                        )
                    }
                    let next = seats[2].acquire(name)
                    _ = try await bench.granted(next, "the lock after interleaving \(index), seed \(effort.seed)")
                    try await bench.release(next)
                }
            },
        ]
    }

    /// The holder releases while what the broker sends to the waiter is held back: the grant is on its way when the
    /// waiter gives up.
    private func lateGrant(_ bench: Bench<Provider>, _ giveUp: (TestContender) -> Void) async throws {
        let hold = try bench.need(bench.subject.faults.holdAnswers, "hold answers back")
        let pass = try bench.need(bench.subject.faults.passAnswers, "deliver answers that were held back")
        let name = bench.subject.makeName()
        let seats = try await bench.seats(3)
        let holder = seats[0].acquire(name)
        _ = try await bench.granted(holder, "the first grant")
        let waiter = try await bench.inLine(seats[1], name)
        try await hold(seats[1].provider)
        try await bench.release(holder)
        giveUp(waiter)
        try await pass(seats[1].provider)
        let result = try await bench.within("the wait that was given up") { try await waiter.result() }
        guard case .failure(let error) = result, error.code == .cancelled else {
            throw Unmet("a cancelled wait ended with \(result)")
        }
        let next = seats[2].acquire(name)
        _ = try await bench.granted(next, "the lock whose grant came too late")
        try await bench.release(next)
    }

    var arbitrationChecks: [Check] {
        [
            Check(.localArbitration, "first come, first served", waits: false) { bench in
                // Contenders can only be started in order; whether they stand in line in order cannot be seen. Further
                // tries are for a scheduler that stopped one of them on its way. Without a line, hardly one of six
                // would come out in order.
                for attempt in 1...6 {
                    let served = try await order(bench, count: 6)
                    if served == Array(0..<6) { return }
                    try bench.require(attempt < 6, "contenders 0 to 5 were served in the order \(served)")
                }
            }
        ]
    }

    private func order(_ bench: Bench<Provider>, count: Int) async throws -> [Int] {
        let name = bench.subject.makeName()
        let seat = try await bench.seat()
        let holder = seat.acquire(name)
        _ = try await bench.granted(holder, "the first grant")
        let served = Replay<Int>()
        var contenders: [TestContender] = []
        for index in 0..<count {
            let contender = seat.acquire(name)
            contenders.append(contender)
            Task {
                _ = try await contender.lease()
                served.send(index)
                contender.beginRelease()
            }
            _ = try await bench.within("a contender to wait") {
                var seen = 0
                return await seat.log.events.first { event in
                    if event.kind == .waiting, event.name == name { seen += 1 }
                    return seen == index + 2
                }
            }
        }
        try await bench.release(holder)
        for contender in contenders {
            if let error = try await bench.within("a local hand-over", contender.ended) { throw error }
        }
        return served.soFar
    }

    var pollingChecks: [Check] {
        [
            Check(.noPolling, "waiting costs no requests") { bench in
                let count = try bench.need(bench.subject.faults.requestCount, "count requests at the broker")
                let name = bench.subject.makeName()
                let seats = try await bench.seats(2)
                let holder = seats[0].acquire(name)
                _ = try await bench.granted(holder, "the first grant")
                let waiter = try await bench.inLine(seats[1], name)
                let before = try await count()
                try await bench.pass(bench.subject.handOverLimit)
                let after = try await count()
                try bench.require(before == after, "waiting alone made \(after - before) requests")
                try await bench.release(holder)
                _ = try await bench.granted(waiter, "the hand-over")
                try await bench.release(waiter)
            },
            Check(.noPolling, "a release wakes the waiter") { bench in
                let name = bench.subject.makeName()
                let seats = try await bench.seats(2)
                let holder = seats[0].acquire(name)
                _ = try await bench.granted(holder, "the first grant")
                let waiter = try await bench.inLine(seats[1], name)
                try await bench.release(holder)
                // On a clock that a test moves, it is not moved here.
                _ = try await bench.granted(waiter, "the hand-over without any time passing")
                try await bench.release(waiter)
            },
        ]
    }

    var boundChecks: [Check] {
        [
            Check(.bounds, "one waiter too many", waits: false) { bench in
                let name = bench.subject.makeName()
                let seat = try await bench.seat(maximumWaiters: 2)
                let holder = seat.acquire(name)
                _ = try await bench.granted(holder, "the first grant")
                let outcomes = Replay<Result<Lease?, LockError>>()
                let waiters = (0..<3).map { _ in seat.acquire(name) }
                for waiter in waiters { Task { outcomes.send(try await waiter.result()) } }
                let refusal = try await bench.within("the third of two waiters to be refused") {
                    await outcomes.first { if case .failure = $0 { true } else { false } }
                }
                guard case .failure(let error)? = refusal, error.code == .limitExceeded else {
                    throw Unmet("one waiter too many got \(String(describing: refusal))")
                }
                for waiter in waiters { waiter.cancel() }
                try await bench.release(holder)
            },
            Check(.bounds, "many names over one session", waits: false) { [effort] bench in
                let seat = try await bench.seat()
                let names = (0..<effort.names).map { _ in bench.subject.makeName() }
                let contenders = names.map { seat.acquire($0) }
                var leases: [Lease] = []
                for contender in contenders { leases.append(try await bench.granted(contender, "one of many names")) }
                let invalid = leases.count { !$0.isValid }
                try bench.require(invalid == 0, "\(invalid) of \(names.count) leases were not valid together")
                for contender in contenders { contender.beginRelease() }
                for contender in contenders {
                    if let error = try await bench.within("one of many releases", contender.ended) { throw error }
                }
            },
        ]
    }

    var kindChecks: [Check] {
        [
            Check(.oneMutexPerName, "an object of another kind", waits: false) { bench in
                let occupy = try bench.need(bench.subject.faults.occupy, "make an object of another kind")
                let seat = try await bench.seat()
                for once in [false, true] {
                    let name = bench.subject.makeName()
                    try await occupy(name)
                    let contender = once ? seat.tryAcquire(name) : seat.acquire(name)
                    let result = try await bench.within("the refusal") { try await contender.result() }
                    guard case .failure(let error) = result, error.code == .incompatible else {
                        throw Unmet("a name of another kind gave \(result)")
                    }
                }
            }
        ]
    }
}
