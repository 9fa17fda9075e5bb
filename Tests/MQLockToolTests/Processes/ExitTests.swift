import Foundation
import Testing

@testable import MQLockTool

/// From glibc 2.41 on, `exit` waits for the lock of every `FILE`. A thread that waits inside one, as `readLine` does, keeps
/// its process from ending.
@Suite("Exit", .timeLimit(.minutes(3))) struct ExitTests {
    /// Makes the exit of any glibc wait like that of a new one: `fflush(NULL)` takes the same locks.
    private static let likeANewOne = """
        #include <stdio.h>
        __attribute__((destructor)) static void wait_for_every_file(void) { fflush(NULL); }
        """

    /// Swift brings one along.
    private static let compiler: String? = {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let programs: [String] = folders.flatMap { folder in ["\(folder)/cc", "\(folder)/clang"] }
        return programs.first { access($0, X_OK) == 0 }
    }()

    /// A library for `LD_PRELOAD` in this folder.
    private static func library(in folder: URL) async throws -> String {
        let (source, library) = (folder.appendingPathComponent("exit.c"), folder.appendingPathComponent("exit.so"))
        try Data(likeANewOne.utf8).write(to: source)
        let compiler = try required(compiler)
        let process = try TestProcess(
            compiler, [compiler, "-shared", "-fPIC", "-o", library.path, source.path])
        let result = await process.result()
        guard result.status == 0 else { throw TestFailure("\(compiler): \(result.errors)") }
        return library.path
    }

    private static func withLibrary(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-exit-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body(try await library(in: folder))
    }

    #if os(Linux)
    /// Its workers end while they wait for orders, and it ends them.
    @Test(.enabled(if: Broker.uri != nil, Broker.reason), .enabled(if: compiler != nil, "where there is no C compiler"))
    func theDemoEnds() async throws {
        try await Self.withLibrary { library in
            let result = try await TestProcess.run(
                [
                    "demo", "--rounds", "1", "--workers", "2", "--lock", "exit-test-\(UUID())",
                    "--broker", try required(Broker.uri),
                ], environment: ["LD_PRELOAD": library])
            #expect(result.status == 0, "\(result.output)\(result.errors)")
        }
    }
    #endif

    /// All programs of the package, also those that no test runs.
    @Test func nothingWaitsInStandardIO() throws {
        let calls = ["readLine", "getline", "fgets", "getc", "getchar", "fread", "scanf", "fdopen", "popen"].map {
            "\($0)("
        }
        var found: [String] = []
        for folder in ["Sources", "Tests", "examples", "brokers"] {
            let root = ChoiceArticle.url(folder)
            for path in try FileManager.default.subpathsOfDirectory(atPath: root.path) where path.hasSuffix(".swift") {
                let text = try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
                found += calls.filter(text.contains).map { "\(folder)/\(path): \($0)" }
            }
        }
        #expect(found == [])
    }
}
