import Foundation
import MQLock
import MQLockTesting

/// The critical section of the demo: a directory of files that shows when two workers are inside at the same time.
struct DemoSection {
    let directory: String
    let process: String

    private var mark: String { directory + "/inside" }
    private var own: String { directory + "/inside.\(process)" }
    private var resource: String { directory + "/resource" }

    /// The gate of the resource.
    var gate: FileFenceGate { FileFenceGate(path: directory + "/resource.fence") }

    /// Leaves our mark; returns whose other mark was there.
    ///
    /// The mark appears complete (written aside, then linked), so nobody reads half of it.
    func enter(_ token: UInt64) throws -> DemoMeeting? {
        try Data("\(process) \(token)".utf8).write(to: URL(fileURLWithPath: own))
        defer { unlink(own) }
        if link(own, mark) == 0 { return nil }
        let met = look()
        guard rename(own, mark) == 0 else { throw CommandFailure.system("rename", mark) }
        return met
    }

    /// Checks whether our mark is still there, and removes it; returns whose other mark is there.
    func leave(_ token: UInt64) -> DemoMeeting? {
        guard let there = look() else { return nil }
        guard there.other == process, there.token == token else { return there }
        unlink(mark)
        return nil
    }

    /// Appends a line to the resource.
    func write(_ token: UInt64) throws {
        let descriptor = open(resource, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw CommandFailure.system("open", resource) }
        defer { close(descriptor) }
        guard Platform.writeAll("\(token) \(process)\n".utf8, to: descriptor) else {
            throw CommandFailure.system("write", resource)
        }
    }

    private func look() -> DemoMeeting? {
        guard let text = try? String(contentsOfFile: mark, encoding: .utf8) else { return nil }
        let fields = text.split(separator: " ")
        guard fields.count == 2, let token = UInt64(fields[1]) else { return nil }
        return DemoMeeting(at: HistoryClock.now, process: process, other: String(fields[0]), token: token)
    }
}

extension CommandFailure {
    /// The failure of the system call just made.
    static func system(_ call: String, _ path: String) -> Self {
        Self(
            status: ExitStatus.internalError,
            message: "\(call) of \(path.escapedForDisplay) failed: \(Platform.message(errno))")
    }

    /// The failure that a worker reported, with the code's name.
    init(code: String, message: String) {
        let statuses: [LockError.Code: Int32] = [
            .unreachable: ExitStatus.unavailable, .accessRefused: ExitStatus.noPermission,
            .incompatible: ExitStatus.incompatible, .invalidName: ExitStatus.usage,
            .invalidConfiguration: ExitStatus.usage,
        ]
        self.init(
            status: statuses.first { $0.key.description == code }?.value ?? ExitStatus.internalError, message: message)
    }
}
