package import MQLock

/// Many readers and writers of one read-write lock for some time, in several processes: whether anyone was admitted
/// beside a writer, and how long each had to wait.
package struct ReadersAndWriters: Sendable {
    package var readers = 200
    package var writers = 20
    package var slots = 16
    /// How long each holds the lock.
    package var hold = Duration.milliseconds(1)
    package var duration = Duration.seconds(3)

    package init() {}

    /// The waits of one side.
    package struct Waits: Sendable, CustomStringConvertible {
        package fileprivate(set) var count = 0
        package fileprivate(set) var longest = Duration.zero
        /// How many others were admitted, at most, while one of these waited.
        package fileprivate(set) var mostAdmitted = 0

        package var description: String {
            "\(count) holds, longest wait \(longest.readable), at most \(mostAdmitted) others admitted meanwhile"
        }
    }

    package struct Report: Sendable, CustomStringConvertible {
        package fileprivate(set) var reading = Waits()
        package fileprivate(set) var writing = Waits()
        package fileprivate(set) var violations: [Verdict.Violation] = []

        package var description: String { "readers: \(reading); writers: \(writing)" }
    }

    private struct Wait: Sendable {
        let writes: Bool
        let begin: ContinuousClock.Instant
        let grant: ContinuousClock.Instant
    }

    /// Returns when all contenders have had the lock for the last time.
    /// - Parameter providers: one for each process, on the system's clock.
    package func run(_ name: LockName, on providers: [any LockProvider]) async throws -> Report {
        let recorder = HistoryRecorder()
        let waits = Locked<[Wait]>([])
        let end = ContinuousClock.now.after(duration)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<readers + writers {
                let lock = try ReadWriteLock(name, readers: slots, on: providers[index % providers.count])
                let writes = index >= readers
                group.addTask { [hold] in
                    while ContinuousClock.now < end {
                        let begin = ContinuousClock.now
                        let held = writes ? try await lock.acquireWrite() : try await lock.acquireRead()
                        let lease = held.lease
                        waits.withLock {
                            $0.append(Wait(writes: writes, begin: begin, grant: lease.record.grantedAt))
                        }
                        // Holders that exclude each other have a slot in common, and a writer has all.
                        let parts = lease.record.parts.map(\.name.string).filter { !$0.hasSuffix("turnstile") }
                        recorder.recordGrant(of: lease, as: parts, contender: "\(index)")
                        try await Task.sleep(for: hold)
                        recorder.recordEnd(of: lease, as: parts, contender: "\(index)")
                        do throws(LockError) {
                            try await held.release()
                        } catch {
                            guard error.code == .lost else { throw error }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        var report = Report()
        report.violations = HistoryChecker().check(recorder.events).violations
        let all = waits.withLock { $0 }
        let grants = all.map(\.grant).sorted()
        for wait in all {
            let admitted = grants.partitioningIndex { $0 >= wait.grant } - grants.partitioningIndex { $0 > wait.begin }
            let side = wait.writes ? \Report.writing : \Report.reading
            report[keyPath: side].count += 1
            report[keyPath: side].longest = max(report[keyPath: side].longest, wait.begin.duration(to: wait.grant))
            report[keyPath: side].mostAdmitted = max(report[keyPath: side].mostAdmitted, admitted)
        }
        return report
    }
}

extension Array {
    /// The first index from which on the elements belong to the second part; they are in order of their parts.
    fileprivate func partitioningIndex(_ isSecond: (Element) -> Bool) -> Int {
        var range = startIndex..<endIndex
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            range = isSecond(self[middle]) ? range.lowerBound..<middle : middle + 1..<range.upperBound
        }
        return range.lowerBound
    }
}
