/// Where the demo is hooked in.
enum DemoDispatch {
    static func demo(_ arguments: [String], _ source: BrokerSource) throws(CommandFailure) {
        throw CommandFailure(status: ExitStatus.internalError, message: "the demo is not in this build")
    }

    static func worker(_ arguments: [String], _ source: BrokerSource) throws(CommandFailure) {
        try demo(arguments, source)
    }
}
