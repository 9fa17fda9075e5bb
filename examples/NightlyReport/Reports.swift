import Foundation
import MQLock

/// The folder of the reports: one file per night, and the fence gate in front of them. A night's file *is* the mark
/// that the night is done, so there is no second thing to keep in step with it.
struct Reports: Sendable {
    let directory: String
    private let gate: FileFenceGate

    init(directory: String) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        self.directory = directory
        gate = FileFenceGate(path: directory + "/reports.fence")
    }

    func isDone(_ night: String) -> Bool { FileManager.default.fileExists(atPath: path(night)) }

    /// Whether the night is done; the holder of the lock asks this.
    ///
    /// Its token is admitted first. From then on a former holder that was stopped in the middle and resumes cannot
    /// publish any more, so "not done" stays true until we publish.
    func isDone(_ night: String, under lease: Lease) throws -> Bool {
        try gate.withAdmission(lease.fencingToken, for: lease.name) { isDone(night) }
    }

    /// Publishes the report completely or not at all.
    /// - Throws: `LockError` with code `staleToken` when a later holder was here: nothing is published then.
    func publish(_ text: String, for night: String, under lease: Lease) throws {
        try gate.withAdmission(lease.fencingToken, for: lease.name) {
            let part = path(night) + ".part"
            try Data(text.utf8).write(to: URL(fileURLWithPath: part))
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: part))
            defer { try? file.close() }
            try file.synchronize()
            guard rename(part, path(night)) == 0 else { throw CocoaError(.fileWriteUnknown) }
        }
    }

    private func path(_ night: String) -> String { "\(directory)/\(night).txt" }
}
