package org.overread.xnat.core;

import org.springframework.context.annotation.ComponentScan;

/** XNAT registers this class; it leads Spring to {@link ButtonApi}. */
@ComponentScan("org.overread.xnat.core")
public class CorePlugin {}
