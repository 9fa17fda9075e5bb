import Foundation
import MQLock
import MQLockTesting
import Synchronization
import Testing

@testable import FolderLocks

@Suite struct ConformanceTests {
    /// The kernel cannot be silenced, nor stopped, nor made to lose a request.
    private static let leftOut: Set<String> = [
        "over restarts of the broker", "over a crash of the broker", "over deletion of the name's objects",
        "a silenced session", "deleted objects", "a silenced holder", "late answers extend nothing by themselves",
        "a stopped process", "a grant in flight to a cancelled wait", "a release that is never answered",
    ]

    @Test(.timeLimit(.minutes(5))) func anAdapterFromOutsideConforms() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("folder-locks-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let made = Made()
        var subject = ConformanceSubject<FolderLocks>(handOverLimit: .milliseconds(500)) { options in
            let locks = FolderLocks(
                folder, observer: options.observer, maximumWaiters: options.maximumWaiters ?? 10_000)
            made.all.withLock { $0.append(locks) }
            return locks
        }
        subject.close = { $0.shutdown() }
        subject.faults.endSession = { $0.contender.endSession(LossReason(.connectionClosed)) }
        subject.faults.requestCount = { made.all.withLock { $0.reduce(0) { $0 + $1.contender.requests } } }
        subject.faults.contenders = { name in
            made.all.withLock { $0.count { $0.contender.contends(for: name) } }
        }
        subject.faults.occupy = { name in
            // As the adapter itself makes the file, and then other words in it.
            let other = FolderLocks(folder)
            try await other.withLock(name) { _ in }
            let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
            let digits = name.utf8.map { String(format: "%02x", $0) }.joined()
            for case let file as URL in files ?? .init() where file.lastPathComponent == digits {
                try Data("not a lock".utf8).write(to: file)
            }
        }
        var effort = LockConformance<FolderLocks>.Effort()
        // Each takes a descriptor.
        effort.names = 100
        let report = await LockConformance(subject, effort: effort).run()
        #expect(report.hasPassed, "\(report)")
        let leftOut = report.entries.filter { $0.outcome != .passed }.map(\.check)
        #expect(Set(leftOut) == Self.leftOut)
        #expect(report.entries.count > leftOut.count)
        print(report)
    }

    private final class Made: Sendable {
        let all = Mutex<[FolderLocks]>([])
    }
}
