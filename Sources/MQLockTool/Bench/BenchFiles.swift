import Foundation
import MQLock

/// The files of a run: the results of an earlier one, its own results, and its picture.
struct BenchFiles {
    private let options: BenchOptions
    /// Those of the earlier run, if there is one to compare with.
    let earlier: [BenchResult]?

    /// Reads the earlier results, and checks that the others can be written, before anything is measured.
    init(_ options: BenchOptions) throws(CommandFailure) {
        self.options = options
        earlier = if let path = options.compared { try Self.results(path) } else { nil }
        for (path, option) in [(options.saved, "--save"), (options.picture, "--svg")] {
            if let path { try Self.requireWritable(path, option) }
        }
    }

    /// - Parameter text: the results as JSON lines.
    func write(_ text: String, _ picture: BenchPicture) throws(CommandFailure) {
        if let path = options.saved { try Self.write(text, path, "--save") }
        if let path = options.picture { try Self.write(picture.svg, path, "--svg") }
    }

    /// Those in JSON lines; other lines are skipped.
    static func results(in text: String) -> [BenchResult] {
        text.split(whereSeparator: \.isNewline).compactMap {
            try? JSONDecoder().decode(BenchResult.self, from: Data($0.utf8))
        }
    }

    private static func results(_ path: String) throws(CommandFailure) -> [BenchResult] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw unusable("--compare", path, Platform.message(errno))
        }
        let results = results(in: String(decoding: data, as: UTF8.self))
        guard !results.isEmpty else { throw unusable("--compare", path, "it has no results of a benchmark") }
        return results
    }

    private static func requireWritable(_ path: String, _ option: String) throws(CommandFailure) {
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) {
            if isFolder.boolValue { throw unusable(option, path, Platform.message(EISDIR)) }
            guard access(path, W_OK) == 0 else { throw unusable(option, path, Platform.message(errno)) }
            return
        }
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        guard access(folder, W_OK) == 0 else { throw unusable(option, path, Platform.message(errno)) }
    }

    private static func write(_ text: String, _ path: String, _ option: String) throws(CommandFailure) {
        do {
            // In place: it may be a device, or a file in a folder of somebody else's.
            try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        } catch {
            throw CommandFailure(
                status: ExitStatus.internalError,
                message: "cannot write \(path.escapedForDisplay) (\(option)): \("\(error)".escapedForDisplay)")
        }
    }

    private static func unusable(_ option: String, _ path: String, _ why: String) -> CommandFailure {
        .usage("\(option): cannot use \(path.escapedForDisplay): \(why)", CommandDescriptor.bench.name)
    }
}
