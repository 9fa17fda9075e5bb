import Synchronization

/// One broker of a quorum, and what is known about it.
final class QuorumMember: Sendable {
    /// A lock that is held there.
    struct Part: Sendable {
        let member: QuorumMember
        let lock: KeptLock

        var lease: Lease { lock.lease }
    }

    /// Its place in the order of all members.
    let number: Int
    let provider: any RaisingLocks
    private let hasFailed = Atomic(false)

    init(_ number: Int, _ provider: any RaisingLocks) {
        self.number = number
        self.provider = provider
    }

    /// Whether it did not answer when it was last asked, and has not come back since: it is not waited for.
    var isAbsent: Bool { hasFailed.load(ordering: .relaxed) && !provider.isConnected }

    /// Records whether it has answered.
    func answered(_ has: Bool) { hasFailed.store(!has, ordering: .relaxed) }

    func acquire(_ name: LockName, within limit: Duration?) async -> Result<Part?, LockError> {
        do throws(LockError) {
            let held = try await provider.acquire(name, within: limit)
            return .success(Part(member: self, lock: KeptLock(held)))
        } catch {
            return .failure(error)
        }
    }

    /// Nil when another contender holds it.
    func tryAcquire(_ name: LockName) async -> Result<Part?, LockError> {
        do throws(LockError) {
            guard let held = try await provider.tryAcquire(name) else { return .success(nil) }
            return .success(Part(member: self, lock: KeptLock(held)))
        } catch {
            return .failure(error)
        }
    }

    /// Raises the number of a part that is held here.
    func raise(_ part: Part, above token: FencingToken) async -> Result<FencingToken, LockError> {
        do throws(LockError) {
            return .success(try await provider.raise(part.lease, above: token))
        } catch {
            return .failure(error)
        }
    }
}

/// Several members that are asked at once, of which some may never answer.
struct QuorumQuestion<Answer: Sendable>: Sendable {
    /// What the members have answered, by their numbers.
    typealias Answers = [Int: Result<Answer, LockError>]

    let members: [QuorumMember]
    /// Asks one of them.
    let ask: @Sendable (QuorumMember) async -> Result<Answer, LockError>
    /// What happens to an answer that comes too late.
    let late: @Sendable (Answer) async -> Void

    private struct Storage {
        var answers: Answers = [:]
        var isOver = false
    }

    /// Asks, and returns when the expected members have answered, or earlier: a while after there are enough answers,
    /// when `end` returns, and when the calling task is cancelled. A member that has not answered by then is cancelled.
    ///
    /// The members are asked in tasks of their own: one that does not even react to a cancellation delays no one.
    /// - Parameters:
    ///   - enough: whether the answers suffice; then the others get no more than the grace.
    ///   - grace: how long to wait for the others then.
    ///   - clock: the clock that counts it.
    ///   - end: how long to wait at most.
    func answers(
        enough: (Answers) -> Bool, grace: Duration, _ clock: any LockClock, end: @escaping @Sendable () async -> Void
    ) async -> Answers {
        let storage = Locked(Storage())
        let (news, newsTeller) = AsyncStream.makeStream(of: Void.self)
        var tasks = members.map { member in
            Task {
                let answer = await ask(member)
                let isLate = storage.withLock { storage in
                    if !storage.isOver { storage.answers[member.number] = answer }
                    return storage.isOver
                }
                newsTeller.yield()
                if isLate, case .success(let answer) = answer { await late(answer) }
            }
        }
        tasks.append(
            Task {
                await end()
                newsTeller.finish()
            })
        var hasEnough = false
        for await _ in news {
            let answers = storage.withLock { $0.answers }
            // Checked now: a member may have been given up on, or have come back, since.
            if members.allSatisfy({ answers[$0.number] != nil || $0.isAbsent }), !answers.isEmpty { break }
            guard !hasEnough, enough(answers) else { continue }
            hasEnough = true
            tasks.append(
                Task {
                    try? await clock.sleep(until: clock.now.after(grace))
                    newsTeller.finish()
                })
        }
        let answers = storage.withLock { storage in
            storage.isOver = true
            return storage.answers
        }
        for task in tasks { task.cancel() }
        return answers
    }
}
