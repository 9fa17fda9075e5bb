import MQLock

// Several locks as one, with nothing broken.
extension LockConformance {
    var multiLockChecks: [Check] {
        [
            Check(.exclusion, "several locks, in any order") { [effort] bench in
                let seats = try await bench.seats(3)
                let watch = HoldWatch(seats: seats.count, clock: bench.subject.clock)
                try await bench.within("contenders for several locks each, seed \(effort.seed)") {
                    try await crowd(bench, seats, watch)
                }
                try watch.check()
            },
            Check(.exclusion, "all of several locks or none") { bench in
                let seats = try await bench.seats(3)
                let names = bench.names(3)
                for taken in names {
                    let holder = seats[0].acquire(taken)
                    _ = try await bench.granted(holder, "the first grant")
                    let contender = MultiContender(seats[1].provider, names, once: true)
                    let outcome = try await bench.within("a try") { try await contender.result().get() }
                    try bench.require(outcome == nil, "a try with a taken name ended with \(outcome!.all)")
                    try await bench.requireFree(names.filter { $0 != taken }, seats[2], "after a try in vain")
                    try await bench.release(holder)
                }
                let contender = MultiContender(seats[1].provider, names, once: true)
                let outcome = try await bench.within("a try") { try await contender.result().get() }
                try bench.require(
                    outcome?.all.count == 3, "a try of free locks ended with \(String(describing: outcome))")
                try await bench.release(contender)
                try await bench.requireFree(names, seats[2], "after a release")
            },
            Check(.cancellationLeaksNothing, "generated interleavings of several locks") { [effort] bench in
                var generator = SeededGenerator(effort.seed)
                let seats = try await bench.seats(3)
                let names = bench.names(3)
                for seat in seats { try await bench.requireFree(names, seat, "at the start") }
                for index in 0..<effort.interleavings {
                    try await interleaving(
                        bench, seats, names, "interleaving \(index), seed \(effort.seed)", &generator)
                }
                let leaks = seats.flatMap { $0.log.names(of: .leaked) }
                try bench.require(leaks.isEmpty, "\(leaks) were dropped without a release")
            },
            Check(.ownedRelease, "several locks, the last one first") { bench in
                let seats = try await bench.seats(2)
                let names = bench.names(3)
                let order = MultiLock(names, on: seats[0].provider).names
                let contender = MultiContender(seats[0].provider, names)
                _ = try await bench.within("free locks") { try await contender.leases() }
                try await bench.release(contender)
                _ = try await bench.within("the releases' events") { [log = seats[0].log] in
                    await log.events.first { $0.kind == .released && $0.name == order[0] }
                }
                try bench.require(
                    seats[0].log.names(of: .granted) == order && seats[0].log.names(of: .released) == order.reversed(),
                    "granted \(seats[0].log.names(of: .granted)), released \(seats[0].log.names(of: .released))")
                // The same where the last one is not acquired.
                let holder = seats[1].acquire(order[2])
                _ = try await bench.granted(holder, "the last one for another")
                let given = MultiContender(seats[0].provider, names)
                _ = try await bench.within("two of three") { [log = seats[0].log] in
                    await log.events.first { [order] _ in log.names(of: .granted).count { $0 == order[1] } == 2 }
                }
                given.cancel()
                let result = try await bench.within("a cancelled wait") { try await given.result() }
                guard case .failure(let error) = result, error.code == .cancelled else {
                    throw Unmet("a cancelled wait ended with \(result)")
                }
                _ = try await bench.within("the releases' events") { [log = seats[0].log] in
                    await log.events.first { _ in log.names(of: .released).count == 5 }
                }
                try bench.require(
                    Array(seats[0].log.names(of: .released).suffix(2)) == [order[1], order[0]],
                    "released \(seats[0].log.names(of: .released))")
                try await bench.release(holder)
                try await bench.requireFree(names, seats[1], "after a cancelled wait")
            },
            Check(.ownedRelease, "several dropped locks are released and reported") { bench in
                let seats = try await bench.seats(2)
                let names = bench.names(2)
                let dropper = MultiContender(seats[0].provider, names)
                let leases = try await bench.within("free locks") { try await dropper.leases() }
                dropper.drop()
                for name in names {
                    _ = try await bench.within("the leak's event") { [log = seats[0].log] in
                        await log.events.first { $0.kind == .leaked && $0.name == name }
                    }
                }
                try bench.require(!leases.isValid, "dropped locks are held")
                try await bench.requireFree(names, seats[1], "after they were dropped")
            },
        ]
    }

    /// Tasks of all seats that acquire some of four names each, in any order and some of them twice.
    func crowd(_ bench: Bench<Provider>, _ seats: [Bench<Provider>.Seat], _ watch: HoldWatch) async throws {
        let names = bench.names(4)
        try await withThrowingTaskGroup(of: Void.self) { [effort] group in
            for (index, seat) in seats.enumerated() {
                for task in 0..<3 {
                    group.addTask {
                        var generator = SeededGenerator(effort.seed &+ UInt64(index * 3 + task))
                        for _ in 0..<effort.rounds {
                            let count = Int.random(in: 1...5, using: &generator)
                            let chosen = (0..<count).map { _ in names[Int.random(in: 0..<4, using: &generator)] }
                            do {
                                try await seat.provider.withLocks(chosen) { leases in
                                    guard leases.all.map(\.name) == MultiLock(chosen, on: seat.provider).names else {
                                        throw Unmet("\(chosen) were asked for, \(leases.all.map(\.name)) came")
                                    }
                                    await watch.hold(leases.all, seat: index, who: "task \(task)") {
                                        for _ in 0..<3 { await Task.yield() }
                                    }
                                }
                            } catch let error as LockError where error.code == .lost {
                                // The code that broke something knows.
                            }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Some of the names are held when a contender for all of them comes, and are released around the instant at which
    /// that contender gives up.
    private func interleaving(
        _ bench: Bench<Provider>, _ seats: [Bench<Provider>.Seat], _ names: [LockName], _ title: String,
        _ generator: inout SeededGenerator
    ) async throws {
        var holders: [TestContender] = []
        for name in names where Int.random(in: 0..<3, using: &generator) > 0 {
            let holder = seats[0].acquire(name)
            _ = try await bench.granted(holder, "a holder of \(title)")
            holders.append(holder)
        }
        let timesOut = Bool.random(using: &generator)
        let limit = Duration.microseconds(Int.random(in: 0...6000, using: &generator))
        let waiter = MultiContender(seats[1].provider, names, within: timesOut ? limit : nil)
        for _ in 0..<Int.random(in: 0...60, using: &generator) { await Task.yield() }
        let before = Int.random(in: 0...holders.count, using: &generator)
        holders.shuffle(using: &generator)
        for holder in holders.prefix(before) {
            holder.beginRelease()
            for _ in 0..<Int.random(in: 0...30, using: &generator) { await Task.yield() }
        }
        if timesOut { await bench.subject.pass?(limit) } else { waiter.cancel() }
        for holder in holders.dropFirst(before) { holder.beginRelease() }
        for holder in holders { _ = try await bench.within("a release of \(title)", holder.ended) }
        let result = try await bench.within("the wait of \(title)") { try await waiter.result() }
        switch result {
        case .success: try await bench.release(waiter)
        case .failure(let error):
            try bench.require(
                error.code == (timesOut ? .timedOut : .cancelled), "\(title): a wait that was given up threw \(error)")
        }
        try await bench.requireFree(names, seats[2], "after \(title)")
    }
}

extension EventLog {
    /// The names of all events of a kind, in order.
    func names(of kind: LockEvent.Kind) -> [LockName] {
        events.soFar.filter { $0.kind == kind }.compactMap(\.name)
    }
}
