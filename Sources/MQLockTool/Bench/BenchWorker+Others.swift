import MQLock
import MQLockTesting

/// What is measured of MQLock alone.
extension BenchWorker {
    /// Contends with tasks of this process only.
    func contend(_ tasks: Int, _ count: Int) async throws {
        let (locks, name) = (locks, name)
        let grants = try await withThrowingTaskGroup { group in
            for task in 0..<max(0, tasks) {
                group.addTask { try await Self.turns(locks, name, UInt64(task), count) }
            }
            var all: [UInt64] = []
            for try await turns in group { all += turns }
            return all
        }
        let size = 3 * Self.chunk
        for start in stride(from: 0, to: grants.count, by: size) {
            Self.answer(.grants(Array(grants[start..<min(grants.count, start + size)])))
        }
    }

    private static func turns(
        _ locks: any LockProvider, _ name: LockName, _ task: UInt64, _ count: Int
    ) async throws -> [UInt64] {
        var turns: [UInt64] = []
        for _ in 0..<count {
            let held = try await locks.acquire(name, within: nil)
            turns += [task, HistoryClock.now]
            turns.append(HistoryClock.now)
            try await held.release()
        }
        return turns
    }

    func collect(_ count: Int) async throws {
        for start in stride(from: 0, to: count, by: Self.chunk) {
            var times: [UInt64] = []
            for index in start..<min(count, start + Self.chunk) {
                let before = HistoryClock.now
                let held = try await locks.acquire(try name.numbered(index), within: nil)
                times.append(HistoryClock.now - before)
                collected.append(KeptLock(held))
            }
            Self.answer(.times(times))
        }
    }

    func drop() async throws {
        for lock in collected { try await lock.release() }
        collected = []
    }

    func lose(_ count: Int) async throws {
        for start in stride(from: 0, to: count, by: Self.chunk) {
            var times: [UInt64] = []
            for _ in start..<min(count, start + Self.chunk) { times.append(try await lose()) }
            Self.answer(.times(times))
        }
    }

    /// - Returns: the time from the cut of the connections until the holder was notified.
    private func lose() async throws -> UInt64 {
        let held = try await locks.acquire(name, within: nil)
        let states = held.lease.states
        let (ready, readiness) = AsyncStream.makeStream(of: Void.self)
        let notified = Task {
            for await state in states {
                if case .lost = state { return HistoryClock.now }
                readiness.finish()
            }
            return 0
        }
        for await _ in ready {}
        let cut = HistoryClock.now
        OwnConnections.cut()
        let instant = await notified.value
        // It reports the loss.
        try? await held.release()
        guard instant >= cut else {
            throw CommandFailure(status: ExitStatus.internalError, message: "a cut connection lost no lock")
        }
        return instant - cut
    }
}

/// A held lock that can be stored.
final class KeptLock {
    private var held: HeldLock?

    init(_ held: consuming HeldLock) { self.held = consume held }

    func release() async throws { try await held.take()?.release() }
}

extension LockName {
    /// Another name, for a number.
    func numbered(_ number: Int) throws(LockError) -> LockName { try LockName("\(string)/\(number)") }
}
