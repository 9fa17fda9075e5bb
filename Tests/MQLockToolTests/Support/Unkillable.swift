import Foundation

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A program that becomes root whoever starts it, so that somebody who is not may not signal it.
final class Unkillable: Sendable {
    private let folder: String
    private static let setpriv = "/usr/bin/setpriv"

    static var isPossible: Bool { geteuid() == 0 && access(setpriv, X_OK) == 0 }
    /// What starts another program as somebody without rights.
    static let nobody = [setpriv, "--reuid=65534", "--regid=65534", "--clear-groups"]

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-root-\(UUID())").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        try FileManager.default.copyItem(atPath: Self.setpriv, toPath: "\(folder)/setpriv")
        chmod(folder, 0o755)
        chmod("\(folder)/setpriv", 0o4755)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// Says `ready` when it is root.
    func command(_ words: [String]) -> [String] {
        ["\(folder)/setpriv", "--reuid=0", "sh", "-c", "echo ready; exec \"$@\"", "sh"] + words
    }
}
