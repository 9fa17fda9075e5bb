import MQLock
import MQLockRabbitMQ

/// `mqlock gc`: removes the queues of unused locks, each while holding the lock.
struct LockCleaning: Sendable {
    let options: CleanOptions
    let uri: String
    let vhost: String
    let management: ManagementAPI
    let output: Output
    /// How much older than now, in milliseconds, a lock's number has to be: as much as the clocks of two hosts may
    /// differ. The next program to use the name numbers its token by its own clock.
    var margin: Int64 = 3600 * 1000

    /// - Returns: the exit status.
    func run() async throws(LockError) -> Int32 {
        let found = UnusedLocks(try await management.queues(vhost: vhost), matching: options.pattern)
        for (name, reason) in found.kept.inOrder { say("kept", name, Self.words(reason)) }
        guard options.confirmed else {
            for (name, mutex) in found.unused.inOrder { say("unused", name, "\(mutex)") }
            end("would be removed with --yes", found.unused.count, kept: found.kept.count)
            return ExitStatus.success
        }
        var providers: [RabbitMQLocks.Mutex: RabbitMQLocks] = [:]
        var (removed, kept) = (0, found.kept.count)
        for (name, mutex) in found.unused.inOrder {
            if providers[mutex] == nil {
                var configuration = RabbitMQLocks.Configuration(uri: uri, mutex: mutex)
                configuration.startupTimeout = .seconds(30)
                configuration.answersQuestions = false
                providers[mutex] = try RabbitMQLocks(configuration)
            }
            guard let locks = providers[mutex] else { continue }
            if let reason = try await remove(name, mutex, locks) {
                say("kept", name, reason)
                kept += 1
            } else {
                say("removed", name, "\(mutex)")
                removed += 1
            }
        }
        for locks in providers.values { await locks.shutdown(within: .zero) }
        end("removed", removed, kept: kept)
        return ExitStatus.success
    }

    /// - Returns: why it was not removed.
    private func remove(
        _ name: LockName, _ mutex: RabbitMQLocks.Mutex, _ locks: RabbitMQLocks
    ) async throws(LockError) -> String? {
        // Only the holder may delete the lock's queue: no other program has its content.
        let held: HeldLock?
        do throws(LockError) {
            held = try await locks.tryAcquire(name)
        } catch {
            guard ![.unreachable, .accessRefused, .shutDown].contains(error.code) else { throw error }
            return error.message
        }
        guard let held else { return Self.words(.used) }
        let oldEnough = WallClock.now.subtractingReportingOverflow(margin).partialValue
        guard held.lease.fencingToken.rawValue <= FencingNumbering.last(at: oldEnough) else {
            try await held.release()
            return "its token was made less than an hour ago"
        }
        // A blocking connection belongs to its thread, and we stay on one only from one await to the next.
        try BrokerAdministration(uri: uri).remove(name, mutex)
        // Lost with its queue, or to be released.
        try? await held.release()
        return nil
    }

    private static func words(_ reason: UnusedLocks.Reason) -> String {
        switch reason {
        case .used: "somebody holds it or waits for it"
        case .marked: "it has marks of jobs that are done once for a period"
        }
    }

    private func say(_ event: String, _ name: LockName, _ detail: String) {
        guard options.json else { return output.standardOutput("\(event)  \(name)  \(detail)\n") }
        var line = JSONLine(event)
        line.add("name", name.string)
        line.add(event == "kept" ? "reason" : "mutex", detail)
        output.standardOutput(line.text)
    }

    private func end(_ words: String, _ count: Int, kept: Int) {
        guard options.json else {
            return output.standardError("mqlock: \(count) of \(vhost.escapedForDisplay) \(words), \(kept) kept\n")
        }
        var line = JSONLine("end")
        line.add("removed", options.confirmed ? count : 0)
        line.add("unused", count)
        line.add("kept", kept)
        output.standardOutput(line.text)
    }
}

extension Dictionary where Key == LockName {
    /// Sorted by the bytes of the names.
    fileprivate var inOrder: [(key: LockName, value: Value)] {
        sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    }
}
