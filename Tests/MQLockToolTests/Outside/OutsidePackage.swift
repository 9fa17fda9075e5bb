import Foundation

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A package below `Tests` that depends on this one, as a user's does. It is built beside the build that these tests are of,
/// so that `brokers/test` can have done it before they run.
struct OutsidePackage: Sendable {
    let name: String
    /// Whether Swift's libraries become part of its programs.
    var isStatic = false

    static let lifecycle = OutsidePackage(name: "ServiceLifecycle")

    /// The `swift` of the path; nil where there is none.
    static let tool: String? = {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        return folders.map { "\($0)/swift" }.first { access($0, X_OK) == 0 }
    }()

    /// Runs `swift COMMAND` on the package.
    func swift(_ command: [String], _ arguments: [String] = []) async throws -> TestProcess.Result {
        let tool = try required(Self.tool)
        let build = URL(fileURLWithPath: TestProcess.mqlock).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let process = try TestProcess(
            tool,
            ["swift"] + command + [
                "--package-path", ChoiceArticle.url("Tests/\(name)").path, "--scratch-path",
                build.appendingPathComponent("outside/\(name)\(isStatic ? "-static" : "")").path,
            ] + arguments,
            environment: ["GIT_TERMINAL_PROMPT": "0", "GIT_HTTP_LOW_SPEED_LIMIT": "1", "GIT_HTTP_LOW_SPEED_TIME": "20"])
        return await process.result()
    }

    /// Runs one of its programs.
    func run(_ program: String, _ arguments: [String]) async throws -> TestProcess.Result {
        try await swift(["run"] + (isStatic ? ["--static-swift-stdlib"] : []), [program] + arguments)
    }

    /// Whether the packages that it depends on can be had, from the network or a mirror that git is configured for.
    func canBeResolved() async -> Bool {
        guard Self.tool != nil else { return false }
        return (try? await swift(["package", "resolve"]))?.status == 0
    }
}
