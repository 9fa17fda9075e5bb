#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// Where the command line meets the demo.
enum DemoDispatch {
    static func demo(_ options: DemoOptions, _ source: BrokerSource) throws(CommandFailure) -> Never {
        let broker = try source.resolve(environment: RunCommand.variable)
        start { await DemoCommand.run(options, broker: broker) }
    }

    static func worker(_ arguments: [String]) -> Never {
        start { await DemoWorker.run(arguments) }
    }

    /// Runs to the end and exits; the main thread only waits.
    static func start(_ body: @escaping @Sendable () async -> Int32) -> Never {
        Task.detached { exit(await body()) }
        while true { pause() }
    }
}
