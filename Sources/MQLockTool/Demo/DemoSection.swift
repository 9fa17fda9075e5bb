import Foundation
import MQLock
import MQLockTesting

/// The critical section of the demo: a directory of files that show it when two are inside at once.
struct DemoSection {
    let directory: String
    let process: String

    private var mark: String { directory + "/inside" }
    private var own: String { directory + "/inside.\(process)" }
    private var resource: String { directory + "/resource" }

    /// The gate of the resource.
    var gate: FileFenceGate { FileFenceGate(path: directory + "/resource.fence") }

    /// Leaves our mark; returns who else's was there.
    ///
    /// The mark comes into being with its text (written aside, then linked), so nobody reads half of it.
    func enter(_ token: UInt64) throws -> DemoMeeting? {
        try Data("\(process) \(token)".utf8).write(to: URL(fileURLWithPath: own))
        defer { unlink(own) }
        if link(own, mark) == 0 { return nil }
        let met = look()
        guard rename(own, mark) == 0 else { throw DemoFailure.system("rename", mark) }
        return met
    }

    /// Looks whether our mark is still there, and takes it away; returns who else's is there.
    func leave(_ token: UInt64) -> DemoMeeting? {
        guard let there = look() else { return nil }
        guard there.other == process, there.token == token else { return there }
        unlink(mark)
        return nil
    }

    /// Appends a line to the resource.
    func write(_ token: UInt64) throws {
        let descriptor = open(resource, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw DemoFailure.system("open", resource) }
        defer { close(descriptor) }
        let line = "\(token) \(process)\n"
        let written = line.withCString { Foundation.write(descriptor, $0, line.utf8.count) }
        guard written == line.utf8.count else { throw DemoFailure.system("write", resource) }
    }

    private func look() -> DemoMeeting? {
        guard let text = try? String(contentsOfFile: mark, encoding: .utf8) else { return nil }
        let fields = text.split(separator: " ")
        guard fields.count == 2, let token = UInt64(fields[1]) else { return nil }
        return DemoMeeting(at: HistoryClock.now, process: process, other: String(fields[0]), token: token)
    }
}

/// Why the demo ends without a verdict.
struct DemoFailure: Error, Equatable {
    var status: Int32
    var message: String

    static func system(_ call: String, _ path: String) -> Self {
        Self(status: 70, message: "\(call) of \(path.escapedForDisplay) failed: \(String(cString: strerror(errno)))")
    }

    /// The failure that a worker told of; the statuses are those of the other commands.
    init(code: String, message: String) {
        self.message = message
        status =
            switch code {
            case LockError.Code.unreachable.description: 69
            case LockError.Code.accessRefused.description: 77
            case LockError.Code.incompatible.description: 78
            case LockError.Code.invalidName.description, LockError.Code.invalidConfiguration.description: 64
            default: 70
            }
    }

    init(status: Int32, message: String) {
        self.status = status
        self.message = message
    }
}
