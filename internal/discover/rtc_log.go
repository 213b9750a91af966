package discover

import "github.com/pion/logging"

// noPionLog swallows what pion logs: it is about single packets of strangers.
type noPionLog struct{}

var _ logging.LoggerFactory = noPionLog{}

func (noPionLog) NewLogger(string) logging.LeveledLogger { return noPionLog{} }

func (noPionLog) Trace(string)          {}
func (noPionLog) Tracef(string, ...any) {}
func (noPionLog) Debug(string)          {}
func (noPionLog) Debugf(string, ...any) {}
func (noPionLog) Info(string)           {}
func (noPionLog) Infof(string, ...any)  {}
func (noPionLog) Warn(string)           {}
func (noPionLog) Warnf(string, ...any)  {}
func (noPionLog) Error(string)          {}
func (noPionLog) Errorf(string, ...any) {}
