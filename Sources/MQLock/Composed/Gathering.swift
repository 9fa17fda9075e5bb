/// Several locks that are waited for at once.
struct Gathering: Sendable {
    private enum Outcome: Sendable {
        case granted(Int, KeptLock)
        case failed(LockError)
        case interrupted
    }

    let provider: any LockProvider
    /// What is waited for.
    let names: [LockName]

    /// Waits for the first `count` that are granted. The waits for the others are cancelled, and anything granted
    /// anyway is released.
    ///
    /// All or nothing: when one wait fails, or the calling task is cancelled, nothing is held.
    /// - Parameters:
    ///   - count: how many locks are needed.
    ///   - limit: how long to wait at most.
    ///   - interruption: ends the waiting when it returns.
    /// - Returns: the locks by their places in `names`; nil when the waiting was interrupted.
    /// - Throws: what the first wait threw that failed.
    func first(
        _ count: Int, within limit: Duration?, unless interruption: @escaping @Sendable () async -> Void
    ) async throws(LockError) -> [Int: KeptLock]? {
        let result = await withTaskGroup(of: Outcome.self) { group -> Result<[Int: KeptLock]?, LockError> in
            for (index, name) in names.enumerated() {
                group.addTask { [provider] in
                    do throws(LockError) {
                        return .granted(index, KeptLock(try await provider.acquire(name, within: limit)))
                    } catch {
                        return .failed(error)
                    }
                }
            }
            group.addTask {
                await interruption()
                return .interrupted
            }
            var granted: [Int: KeptLock] = [:]
            var surplus: [KeptLock] = []
            var end: Result<[Int: KeptLock]?, LockError>?
            for await outcome in group {
                switch outcome {
                case .granted(let index, let lock):
                    // A grant can come with the cancellation, and after the end.
                    if end == nil { granted[index] = lock } else { surplus.append(lock) }
                    if end == nil, granted.count == count { end = .success(granted) }
                case .failed(let error): end = end ?? .failure(error)
                case .interrupted: end = end ?? .success(nil)
                }
                if end != nil { group.cancelAll() }
            }
            if case .success(.some) = end {} else { surplus += granted.values }
            await Self.end(surplus, .released)
            return end ?? .success(nil)
        }
        return try result.get()
    }

    /// Ends several holds at once, the way the whole has ended.
    static func end(_ locks: [KeptLock], _ ending: HoldEnding) async {
        await withDiscardingTaskGroup { group in
            for lock in locks { group.addTask { await lock.end(ending) } }
        }
    }
}
