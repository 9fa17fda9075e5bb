/// The locks behind a semaphore or a read-write lock: a turnstile, through which contenders go one by one, and numbered
/// slots, of which a holder has one or all.
///
/// Exclusion rests on the slots alone. The turnstile gives the order to contenders that look for slots. No one needs it
/// to release a slot.
final class Slots: Sendable {
    /// A slot that is held.
    struct Taken: Sendable {
        let number: Int
        let lock: KeptLock
    }

    /// How many there can be. Each is a lock of its own at the broker, and all are waited for at once.
    static let limit = 1000

    let name: LockName
    private let provider: any LockProvider
    private let turnstile: LockName
    /// Where to look first: at the slot that this process has released last, otherwise behind the one that it acquired
    /// last.
    private let hint = Locked(0)

    /// - Throws: ``LockError`` with code ``LockError/Code/invalidName`` when the name leaves no room for the names of
    ///   its parts.
    init(of name: LockName, on provider: any LockProvider) throws(LockError) {
        self.name = name
        self.provider = provider
        // The longest of the names.
        turnstile = try LockName("\(name.string)/turnstile")
    }

    /// Refuses a number of slots that makes no sense.
    static func check(_ count: Int, _ what: String) throws(LockError) {
        guard (1...limit).contains(count) else {
            throw LockError(.invalidConfiguration, "\(what) can be 1 to \(limit), not \(count)")
        }
    }

    func deadline(within limit: Duration?) -> Deadline { Deadline(within: limit, provider.clock) }

    private func slot(_ number: Int) throws(LockError) -> LockName { try LockName("\(name.string)/\(number)") }

    // MARK: The turnstile

    /// Waits until it is this contender's turn.
    func turn(_ deadline: Deadline) async throws(LockError) -> KeptLock {
        try await ofTheWhole("others came before") { () throws(LockError) in
            KeptLock(try await provider.acquire(turnstile, within: deadline.left))
        }
    }

    /// Acquires the turn if no one has it or waits for it.
    func tryTurn() async throws(LockError) -> KeptLock? {
        try await attempt(turnstile)
    }

    private func attempt(_ part: LockName) async throws(LockError) -> KeptLock? {
        try await ofTheWhole { () throws(LockError) in
            guard let held = try await provider.tryAcquire(part) else { return nil }
            return KeptLock(held)
        }
    }

    // MARK: One slot

    /// Acquires a free slot of the first `count`, if there is one.
    func tryOne(of count: Int) async throws(LockError) -> Taken? {
        let first = hint.withLock { $0 }
        for offset in 0..<count {
            let number = (first % count + offset) % count
            guard let lock = try await attempt(slot(number)) else { continue }
            hint.withLock { $0 = number + 1 }
            return Taken(number: number, lock: lock)
        }
        return nil
    }

    /// Waits for one of the first `count` slots; only for the contender that has the turn.
    /// - Returns: nil when the waiting was interrupted.
    func one(
        of count: Int, _ deadline: Deadline, unless interruption: @escaping @Sendable () async -> Void
    ) async throws(LockError) -> Taken? {
        do throws(LockError) {
            if let taken = try await tryOne(of: count) { return taken }
        } catch {
            // A try has no second chance after a lost connection. A wait has one, and knows whether waiting makes
            // sense.
        }
        guard let taken = try await wait(for: 1, of: count, deadline, unless: interruption)?.first else { return nil }
        hint.withLock { $0 = taken.number + 1 }
        return taken
    }

    // MARK: All slots

    /// Acquires the first `count` slots if all of them are free.
    func tryAll(_ count: Int) async throws(LockError) -> [Taken]? {
        var taken: [Taken] = []
        do throws(LockError) {
            while taken.count < count, let lock = try await attempt(slot(taken.count)) {
                taken.append(Taken(number: taken.count, lock: lock))
            }
        } catch {
            await end(taken, .released)
            throw error
        }
        if taken.count == count { return taken }
        await end(taken, .released)
        return nil
    }

    /// Waits for all of the first `count` slots; only for the contender that has the turn, or two could wait for each
    /// other.
    /// - Returns: nil when the waiting was interrupted.
    func all(
        _ count: Int, _ deadline: Deadline, unless interruption: @escaping @Sendable () async -> Void
    ) async throws(LockError) -> [Taken]? {
        try await wait(for: count, of: count, deadline, unless: interruption)
    }

    /// Releases slots, all at once.
    func end(_ taken: [Taken], _ ending: HoldEnding) async {
        await Gathering.end(taken.map(\.lock), ending)
        if let number = taken.last?.number { isFree(number) }
    }

    /// The slot that this process has released is where it looks first.
    func isFree(_ number: Int) { hint.withLock { $0 = number } }

    // MARK: Waiting

    private func wait(
        for wanted: Int, of count: Int, _ deadline: Deadline, unless interruption: @escaping @Sendable () async -> Void
    ) async throws(LockError) -> [Taken]? {
        var names: [LockName] = []
        for number in 0..<count { names.append(try slot(number)) }
        let gathering = Gathering(provider: provider, names: names)
        return try await ofTheWhole("the slots were taken") { () throws(LockError) in
            try await gathering.first(wanted, within: deadline.left, unless: interruption)?
                .map { Taken(number: $0.key, lock: $0.value) }
        }
    }

    /// An error that ends a wait for a part has the name of the whole.
    private func ofTheWhole<Result>(
        _ detail: String? = nil, _ wait: () async throws(LockError) -> Result
    ) async throws(LockError) -> Result {
        do throws(LockError) {
            return try await wait()
        } catch {
            switch error.code {
            case .cancelled: throw .cancelled(name)
            case .timedOut: throw .timedOut(name, detail: detail)
            default: throw error
            }
        }
    }
}
