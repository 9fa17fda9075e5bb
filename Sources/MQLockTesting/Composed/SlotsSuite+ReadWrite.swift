import MQLock

extension SlotsSuite {
    /// Readers together, writers alone, none overtaken, tokens in the order of holders that exclude each other.
    @Sendable func readWriteOrder(_ bench: Bench<Provider>) async throws {
        let name = subject.makeName()
        let kinds = "wrrwwrwr".map { $0 == "w" }
        let seats = try await bench.seats(kinds.count)
        guard seats[0].provider.capabilities.firstComeFirstServed else { throw NotTried("no order is promised") }
        var line: [(contender: TestContender, writes: Bool)] = []
        for (seat, writes) in zip(seats, kinds) {
            let lock = try bench.readWriteLock(name, readers: 3, seat)
            let contender = writes ? TestContender(writing: lock) : TestContender(reading: lock)
            if line.isEmpty { _ = try await bench.granted(contender, "a free lock") }
            line.append((try await bench.inLine(contender, seat, name), writes))
        }
        let gate = MemoryFenceGate()
        var stale: FencingToken?
        while let first = line.first {
            // All readers up to the next writer, or one writer.
            let together = first.writes ? 1 : line.prefix { !$0.writes }.count
            var tokens: [FencingToken] = []
            for (contender, _) in line.prefix(together) {
                let lease = try await bench.granted(contender, "the next in line")
                try bench.require(lease.name == name && lease.isValid, "the lease is of \(lease.name)")
                tokens.append(lease.fencingToken)
            }
            for (contender, _) in line.dropFirst(together) {
                try bench.require(contender.outcome == nil, "one who has to wait was admitted")
            }
            for token in tokens { try gate.admit(token, for: name) }
            if let stale, let least = tokens.min() {
                try bench.require(stale < least, "the token went back from \(stale) to \(least)")
                do {
                    try gate.admit(stale, for: name)
                    throw Unmet("what a former holder writes back was admitted")
                } catch let error as LockError {
                    try bench.require(error.code == .staleToken, "refused with \(error)")
                }
            }
            stale = tokens.max()
            for (contender, _) in line.prefix(together) { try await bench.release(contender) }
            line.removeFirst(together)
        }
        try await bench.requireFree(name, slots: 3, after: seats)
    }

    /// A try is all or nothing, and answers at once.
    @Sendable func readWriteTry(_ bench: Bench<Provider>) async throws {
        let name = subject.makeName()
        let seats = try await bench.seats(2)
        let locks = try seats.map { try bench.readWriteLock(name, readers: 2, $0) }
        let (mine, theirs) = (locks[0], locks[1])
        func tried(_ take: @escaping @Sendable () async throws(LockError) -> HeldLock?) async throws -> TestContender? {
            let contender = TestContender(take)
            return try await bench.within("a try") { try await contender.result().get() } == nil ? nil : contender
        }
        func write(_ lock: ReadWriteLock) async throws -> TestContender? {
            try await tried { () throws(LockError) in try await lock.tryAcquireWrite() }
        }
        func read(_ lock: ReadWriteLock) async throws -> TestContender? {
            try await tried { () throws(LockError) in try await lock.tryAcquireRead() }
        }
        func need(_ contender: TestContender?, _ what: String) throws -> TestContender {
            guard let contender else { throw Unmet("\(what) was refused") }
            return contender
        }
        let writer = try need(try await write(mine), "a writer of a free lock")
        for lock in locks {
            try bench.require(try await write(lock) == nil, "there were two writers")
            try bench.require(try await read(lock) == nil, "there was a reader beside a writer")
        }
        try await bench.release(writer)
        let reader = try need(try await read(mine), "a reader of a free lock")
        // The first slot is held, or the second is: either way nothing stays of the attempt.
        for lock in locks { try bench.require(try await write(lock) == nil, "there was a writer beside a reader") }
        let second = try need(try await read(theirs), "a second reader")
        try bench.require(try await read(mine) == nil, "there was a reader more than there are slots")
        try await bench.release(reader)
        try bench.require(try await write(theirs) == nil, "there was a writer beside a reader")
        try await bench.release(second)
        try await bench.release(try need(try await write(theirs), "a writer after the readers"))
        try await bench.requireFree(name, slots: 2, after: seats)
    }

    /// A hold is lost with any lock that it rests on, and releases the others; a reader rests on its slot alone.
    @Sendable func readWriteLoss(_ bench: Bench<Provider>) async throws {
        let delete = try bench.need(subject.faults.deleteObjects, "delete an object")
        let name = subject.makeName()
        let seat = try await bench.seat()
        let lock = try bench.readWriteLock(name, readers: 3, seat)
        let parts = try [bench.turnstile(of: name)] + (0..<3).map { try bench.slot($0, of: name) }
        func lose(_ part: LockName, _ contender: TestContender) async throws {
            let lease = try await bench.grantedInTime(contender, "the lock")
            try await delete(part)
            let last = try await bench.passing("the loss of \(part)", upTo: subject.handOverLimit) {
                await lease.states.first { $0.isFinal }
            }
            guard case .lost(let reason)? = last, reason.detail.hasPrefix(part.string), !lease.isValid else {
                throw Unmet("the loss of \(part) became \(last.map(String.init(describing:)) ?? "nothing")")
            }
            contender.beginRelease()
            let error = try await bench.within("the release", contender.ended)
            try bench.require(
                error?.lossReason == reason, "the release of what is lost says \(String(describing: error))")
        }
        for part in parts {
            try await lose(part, TestContender(writing: lock))
            try await bench.requireFree(name, slots: 3, after: [seat])
        }
        let readers = (0..<3).map { _ in TestContender(reading: lock) }
        var leases: [Lease] = []
        for reader in readers { leases.append(try await bench.grantedInTime(reader, "a reader")) }
        try await delete(parts[0])
        // After everything that the deletion has caused.
        let turn = seat.acquire(parts[0])
        _ = try await bench.grantedInTime(turn, "the turnstile")
        try await bench.release(turn)
        for lease in leases { try bench.require(lease.isValid, "a reader was lost with the turnstile") }
        for reader in readers { try await bench.release(reader) }
        try await lose(
            try bench.slot(0, of: name), TestContender(reading: try bench.readWriteLock(name, readers: 1, seat)))
        try await bench.requireFree(name, slots: 3, after: [seat])
    }
}
