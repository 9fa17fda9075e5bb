import MQLock

/// A value that comes once and is awaited by whoever wants it.
final class OneShot<Value: Sendable>: Sendable {
    private struct Storage {
        var value: Value?
        var waiters: [Int: CheckedContinuation<Value?, Never>] = [:]
        var next = 0
    }

    private let storage = Locked(Storage())

    /// The first value stands.
    func fulfil(_ value: Value) {
        let waiters = storage.withLock { storage in
            guard storage.value == nil else { return [CheckedContinuation<Value?, Never>]() }
            storage.value = value
            defer { storage.waiters = [:] }
            return Array(storage.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: value) }
    }

    var current: Value? { storage.withLock { $0.value } }

    /// Throws `Overdue` when nothing has come by then: a deadline against hanging, never a benchmark.
    func value(
        within limit: Duration = .seconds(30), _ what: @autoclosure () -> String = "a value"
    ) async throws -> Value {
        let number = storage.withLock { storage in
            storage.next += 1
            return storage.next
        }
        let timer = Task {
            try await Task.sleep(for: limit, clock: .continuous)
            self.storage.withLock { $0.waiters.removeValue(forKey: number) }?.resume(returning: nil)
        }
        defer { timer.cancel() }
        let value: Value? = await withCheckedContinuation { continuation in
            let ready = storage.withLock { storage in
                if storage.value == nil { storage.waiters[number] = continuation }
                return storage.value
            }
            if let ready { continuation.resume(returning: ready) }
        }
        guard let value else { throw Overdue(what: what(), limit: limit) }
        return value
    }
}

/// Something that a test waits for has not happened.
struct Overdue: Error, CustomStringConvertible {
    let what: String
    let limit: Duration

    var description: String { "waited \(limit) in vain for \(what)" }
}

/// Looks until something is so that nobody announces, such as the broker's own counts.
func eventually(
    within limit: Duration = .seconds(30), every interval: Duration = .milliseconds(5), _ what: String,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now.advanced(by: limit)
    while try await !condition() {
        guard ContinuousClock.now < deadline else { throw Overdue(what: what, limit: limit) }
        try await Task.sleep(for: interval)
    }
}
