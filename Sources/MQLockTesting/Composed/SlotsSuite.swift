package import MQLock

/// What a semaphore and a read-write lock promise, as tests on the locks of any provider.
///
/// Like ``LockConformance`` it imports no test framework: each check throws when something is wrong.
package struct SlotsSuite<Provider: LockProvider>: Sendable {
    /// How much is tried.
    package struct Effort: Sendable {
        /// Holds of each contender in the generated runs.
        package var rounds = 20
        /// The longest wait of a contender that has a time limit, and the longest hold.
        package var longestWait = Duration.milliseconds(20)
        /// How much time there is between two faults.
        package var calm = Duration.milliseconds(10)
        /// Makes the runs; shown with a failure, so a run can be repeated with it.
        package var seed: UInt64 = 1
        /// Whether holders are notified of a deletion before the lock is granted again; then slots can be deleted, too.
        package var hearsOfDeletions = true

        package init() {}
    }

    /// One check.
    package enum Check: String, CaseIterable, Sendable {
        case semaphoreOrder, semaphoreTry, semaphoreNumbers, semaphoreRun
        case readWriteOrder, readWriteTry, readWriteLoss, readWriteRun
    }

    let subject: ConformanceSubject<Provider>
    let effort: Effort

    package init(_ subject: ConformanceSubject<Provider>, effort: Effort = Effort()) {
        self.subject = subject
        self.effort = effort
    }

    /// Makes a check, with providers of its own.
    /// - Returns: why the check was skipped, if it was.
    package func run(_ check: Check) async throws -> String? {
        let bench = Bench(subject)
        let body =
            switch check {
            case .semaphoreOrder: semaphoreOrder
            case .semaphoreTry: semaphoreTry
            case .semaphoreNumbers: semaphoreNumbers
            case .semaphoreRun: semaphoreRun
            case .readWriteOrder: readWriteOrder
            case .readWriteTry: readWriteTry
            case .readWriteLoss: readWriteLoss
            case .readWriteRun: readWriteRun
            }
        var reason: String?
        do {
            try await body(bench)
        } catch let error as NotTried {
            reason = error.reason
        } catch {
            await bench.close()
            throw error
        }
        await bench.close()
        return reason
    }
}

extension Bench {
    func turnstile(of name: LockName) throws -> LockName { try LockName("\(name.string)/turnstile") }

    func slot(_ number: Int, of name: LockName) throws -> LockName { try LockName("\(name.string)/\(number)") }

    func semaphore(_ name: LockName, permits: Int, _ seat: Seat) throws -> Semaphore {
        try Semaphore(name, permits: permits, on: seat.provider)
    }

    func readWriteLock(_ name: LockName, readers: Int, _ seat: Seat) throws -> ReadWriteLock {
        try ReadWriteLock(name, readers: readers, on: seat.provider)
    }

    /// Starts a contender and returns when it stands in line for its turn, as far as that can be seen from here.
    /// - Parameter seat: the seat whose only contender for the name this is.
    func inLine(_ contender: TestContender, _ seat: Seat, _ name: LockName) async throws -> TestContender {
        let turnstile = try turnstile(of: name)
        _ = try await within("a contender to come to the turnstile") {
            await seat.log.events.first { $0.kind == .waiting && $0.name == turnstile }
        }
        // Over the same session and after it: when this is answered, that has most likely been sent.
        let beside = seat.acquire(try LockName("\(name.string)/beside"))
        _ = try await within("a lock beside") { try await beside.lease() }
        try await release(beside)
        return contender
    }

    /// Checks that every lock behind a name can be acquired, and that none was ever left to be released by chance.
    func requireFree(_ name: LockName, slots: Int, after seats: [Seat]) async throws {
        let seat = try await seat()
        for part in try [turnstile(of: name)] + (0..<slots).map({ try slot($0, of: name) }) {
            let contender = seat.acquire(part)
            _ = try await grantedInTime(contender, "\(part) after all")
            try await release(contender)
        }
        for seat in seats {
            let leak = seat.log.events.soFar.first { $0.kind == .leaked }
            try require(leak == nil, "\(leak?.name?.string ?? "") was dropped without a release")
        }
    }
}

extension TestContender {
    /// For a permit.
    convenience init(_ semaphore: Semaphore, within limit: Duration? = nil) {
        self.init { () throws(LockError) in try await semaphore.acquire(within: limit).asLock() }
    }

    /// For a permit, once.
    convenience init(trying semaphore: Semaphore) {
        self.init { () throws(LockError) in
            guard let permit = try await semaphore.tryAcquire() else { return nil }
            return permit.asLock()
        }
    }

    convenience init(reading lock: ReadWriteLock, within limit: Duration? = nil) {
        self.init { () throws(LockError) in try await lock.acquireRead(within: limit) }
    }

    convenience init(writing lock: ReadWriteLock, within limit: Duration? = nil) {
        self.init { () throws(LockError) in try await lock.acquireWrite(within: limit) }
    }
}
