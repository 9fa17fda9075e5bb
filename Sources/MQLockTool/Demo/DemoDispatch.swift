#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// Connects the command line with the demo.
enum DemoDispatch {
    static func demo(_ options: DemoOptions, _ source: BrokerSource) throws(CommandFailure) -> Never {
        let broker = try source.resolveText(environment: RunCommand.variable)
        AsyncMain.run { await DemoCommand.run(options, broker: broker) }
    }

    static func worker(_ arguments: [String]) -> Never {
        AsyncMain.run { await DemoWorker.run(arguments) }
    }
}
