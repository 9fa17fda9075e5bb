import MQLock

@testable import MQLockTool

/// Keeps marks in this process, and answers as the test wants.
final class FakeMarks: MarkKeeping {
    struct Storage {
        var marks: [DoneMark] = []
        /// What the next looks see beside them, each once.
        var arriving: [DoneMark?] = []
        var looks = 0
        var failure: LockError?
    }

    let capabilities = LockCapabilities(mutex: "fake")
    let storage = Locked(Storage())
    /// What happens at the beginning of a write.
    let onWrite: @Sendable () -> Void

    init(arriving: [DoneMark?] = [], failure: LockError? = nil, onWrite: @escaping @Sendable () -> Void = {}) {
        self.onWrite = onWrite
        storage.withLock { ($0.arriving, $0.failure) = (arriving, failure) }
    }

    var marks: [DoneMark] { storage.withLock { $0.marks } }

    func gate(_ options: RunOptions) throws -> OnceGate? {
        guard let period = options.once else { return nil }
        return OnceGate(
            name: options.name, occurrence: try Occurrence(period, at: timeOfDay), marksFailures: options.marksFailures,
            keeper: self)
    }

    func marks(of name: LockName, within limit: Duration?) async throws(LockError) -> [DoneMark] {
        storage.withLock { storage in
            storage.looks += 1
            if !storage.arriving.isEmpty, let mark = storage.arriving.removeFirst() { storage.marks.append(mark) }
            return storage.marks
        }
    }

    func write(_ mark: DoneMark, of name: LockName, within limit: Duration?) async throws(LockError) {
        onWrite()
        let failure = storage.withLock { storage in
            if storage.failure == nil { storage.marks.append(mark) }
            return storage.failure
        }
        if let failure { throw failure }
    }

    func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        throw LockError(.internalError, "not a lock")
    }

    func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? { nil }
}
