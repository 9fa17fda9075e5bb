import MQLock

extension SlotsSuite {
    /// At most so many, in the order in which they came, each slot's tokens growing.
    @Sendable func semaphoreOrder(_ bench: Bench<Provider>) async throws {
        let name = subject.makeName()
        let seats = try await bench.seats(6)
        try bench.require(seats[0].provider.capabilities.waitsAcrossProcesses, "a semaphore needs waiting")
        var holders: [TestContender] = []
        var tokens: [LockName: FencingToken] = [:]
        let first = try bench.semaphore(name, permits: 2, seats[0])
        for _ in 0..<2 {
            let holder = TestContender(first)
            let lease = try await bench.granted(holder, "a free permit")
            try bench.require(tokens.updateValue(lease.fencingToken, forKey: lease.name) == nil, "one slot for two")
            holders.append(holder)
        }
        var line: [TestContender] = []
        for seat in seats[1...] {
            let semaphore = try bench.semaphore(name, permits: 2, seat)
            line.append(try await bench.inLine(TestContender(semaphore), seat, name))
        }
        let isInOrder = seats[0].provider.capabilities.firstComeFirstServed
        for (index, next) in line.enumerated() where isInOrder {
            // Neither always the same slot nor the one that was acquired first.
            let freed = holders.remove(at: index % 3 == 2 ? 0 : holders.count - 1)
            let old = try await bench.granted(freed, "a holder")
            try await bench.release(freed)
            let lease = try await bench.granted(next, "the next in line")
            try bench.require(lease.name == old.name, "\(lease.name) was not what had been freed")
            try bench.require(lease.fencingToken > old.fencingToken, "the token of \(lease.name) went back")
            for later in line[(index + 1)...] {
                try bench.require(later.outcome == nil, "one who came later was served as well")
            }
            holders.append(next)
        }
        if !isInOrder { holders += line }
        for holder in holders {
            _ = try await bench.granted(holder, "a permit")
            try await bench.release(holder)
        }
        try await bench.requireFree(name, slots: 2, after: seats)
    }

    /// A try acquires a free slot, also past a turnstile where a contender waits, and leaves nothing behind when no
    /// slot is free.
    @Sendable func semaphoreTry(_ bench: Bench<Provider>) async throws {
        let name = subject.makeName()
        let seats = try await bench.seats(3)
        let semaphores = try seats.map { try bench.semaphore(name, permits: 3, $0) }
        let turn = seats[2].tryAcquire(try bench.turnstile(of: name))
        _ = try await bench.granted(turn, "the turnstile")
        var holders: [TestContender] = []
        for semaphore in semaphores {
            let holder = TestContender(trying: semaphore)
            _ = try await bench.granted(holder, "a free permit")
            holders.append(holder)
        }
        for semaphore in semaphores {
            let outcome = try await bench.within("a try") { try await TestContender(trying: semaphore).result().get() }
            try bench.require(outcome == nil, "there was a permit too many")
        }
        try await bench.release(holders.removeFirst())
        let again = TestContender(trying: semaphores[1])
        _ = try await bench.granted(again, "the permit that was released")
        for holder in holders + [again, turn] { try await bench.release(holder) }
        try await bench.requireFree(name, slots: 3, after: seats)
    }

    /// The number changes while others wait, and processes have different ones.
    @Sendable func semaphoreNumbers(_ bench: Bench<Provider>) async throws {
        let name = subject.makeName()
        let seats = try await bench.seats(3)
        let semaphores = try seats.map { try bench.semaphore(name, permits: 1, $0) }
        let first = TestContender(semaphores[0])
        _ = try await bench.granted(first, "the only permit")
        let second = try await bench.inLine(TestContender(semaphores[1]), seats[1], name)
        let third = try await bench.inLine(TestContender(semaphores[2]), seats[2], name)
        // Only the contender whose turn it is gets anything at once.
        try semaphores[2].setPermits(3)
        try semaphores[1].setPermits(2)
        let slots = try await [bench.granted(second, "a second permit"), bench.granted(third, "a third")]
        try bench.require(
            try slots.map(\.name) == [1, 2].map { try bench.slot($0, of: name) }, "the slots are \(slots.map(\.name))")
        try await bench.release(second)
        // Slot 1 is free, and beyond this one's number again.
        try semaphores[1].setPermits(1)
        let refused = try await bench.within("a try") { try await TestContender(trying: semaphores[1]).result().get() }
        try bench.require(refused == nil, "a slot beyond the number was taken")
        let fourth = TestContender(semaphores[1])
        try await bench.release(first)
        let slot = try await bench.granted(fourth, "the first slot").name
        try bench.require(try slot == bench.slot(0, of: name), "the slot is \(slot)")
        for holder in [third, fourth] { try await bench.release(holder) }
        try await bench.requireFree(name, slots: 3, after: seats)
    }
}
