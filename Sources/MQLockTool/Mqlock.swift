#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// The command's entry.
@main
enum Mqlock {
    /// The version in `.github/CHANGELOG.md`, like the day on which it was released, or on which its text was last
    /// changed.
    static let version = "0.1.0"
    static let releaseDate = "2026-11-30"

    /// Not `async` on purpose: the guard must run before the concurrency runtime starts a thread. Signals must be
    /// blocked before that too, so that every thread inherits the mask.
    static func main() {
        GuardProcess.runIfAsked()
        do throws(CommandFailure) {
            let words = try OwnWords.text()
            try dispatch(try Invocation.parse(Array(words.dropFirst())), Output.process)
        } catch {
            Output.process.standardError(error.text)
            exit(error.status)
        }
    }

    private static func dispatch(_ invocation: Invocation, _ output: Output) throws(CommandFailure) {
        if invocation.talks { try Platform.requireProc() }
        switch invocation {
        case .help(let topic): output.standardOutput(HelpText.text(for: topic))
        case .version: output.standardOutput("mqlock \(version)\n")
        case .completion(let shell): output.standardOutput(Completion.script(for: shell))
        case .manual: output.standardOutput(ManualPage.text)
        case .run(let options): try RunCommand.run(options, output)
        case .elect(let options): try ElectCommand.run(options, output)
        case .show(let options): try InspectionCommand.show(options, output)
        case .list(let options): try InspectionCommand.list(options, output)
        case .clean(let options): try InspectionCommand.clean(options, output)
        case .observe(let options): try InspectionCommand.observe(options, output)
        case .breaking(let options): try InspectionCommand.breakLock(options, output)
        case .shards(let options): try ShardsCommand.run(options, output)
        case .doctor(let options): try DoctorCommand.run(options, output)
        case .fence(let options): try FenceCommand.run(options, output)
        case .demo(let options, let source): try DemoDispatch.demo(options, source)
        case .demoWorker(let arguments, _): DemoDispatch.worker(arguments)
        case .bench(let options, let source):
            let broker = try source.resolveText(environment: RunCommand.variable)
            AsyncMain.run { await BenchCommand.run(options, broker: broker, output) }
        case .benchWorker(let arguments): AsyncMain.run { await BenchWorker.run(arguments) }
        }
    }
}
